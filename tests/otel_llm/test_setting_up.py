"""``instrument()`` in processes of its own: what it imports, where spans go, what it says when something is amiss."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from otel_llm import config
from otel_llm.errors import ConfigError
from otel_llm.export import _exporter, _kind
from otel_llm.testing import ScriptedProvider

CALL = """
import openai
client = openai.OpenAI(api_key="x", base_url=URL, max_retries=0)
print(client.chat.completions.create(
    model="gpt-5-mini", messages=[{"role": "user", "content": "hi"}]).choices[0].message.content)
"""


def run(code: str, tmp_path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in an environment without any OTEL variable but those given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=60, cwd=tmp_path, env=clean | environ, check=False,
    )  # fmt: skip


def test_importing_brings_nothing_heavy(tmp_path: Path) -> None:
    """Neither databases, servers, price lists nor the SDKs; nor the OpenTelemetry SDK."""
    found = run("import sys, json, otel_llm; print(json.dumps(sorted(sys.modules)))", tmp_path)
    modules = set(json.loads(found.stdout))
    heavy = {
        "chdb", "fastapi", "aiohttp", "genai_prices", "openai", "google.genai", "re2", "jinja2", "yaml", "pydantic",
        "opentelemetry.sdk", "grpc", "requests", "typer", "rich",
    }  # fmt: skip
    assert modules & heavy == set()


def test_instrumenting_imports_no_sdk(tmp_path: Path) -> None:
    """The SDKs are patched when the application imports them, whichever comes first."""
    found = run(
        """
        import sys, otel_llm
        report = otel_llm.instrument()
        print("openai" in sys.modules, "google.genai" in sys.modules, report.waiting)
        import google.genai.models, openai.resources.embeddings
        wanted = (".embed_content", "mbeddings.create")
        print(report.waiting, [name for name in report.patched if name.endswith(wanted)])
        """,
        tmp_path,
        OTEL_TRACES_EXPORTER="none",
    )
    assert found.stderr == ""
    before, after = found.stdout.splitlines()
    assert before == "False False ['google_genai', 'openai']"
    assert after == str([]) + " " + str(
        [
            "google.genai.models:Models.embed_content",
            "google.genai.models:AsyncModels.embed_content",
            "openai.resources.embeddings:Embeddings.create",
            "openai.resources.embeddings:AsyncEmbeddings.create",
        ]
    )


def test_an_sdk_that_is_not_installed_is_no_matter(tmp_path: Path) -> None:
    """Without openai, instrument() says nothing and the import error is Python's own."""
    found = run(
        """
        import sys
        sys.modules["openai"] = None
        import otel_llm
        print(otel_llm.instrument().absent)
        try:
            import openai
        except ImportError as error:
            print(type(error).__name__)
        """,
        tmp_path,
        OTEL_TRACES_EXPORTER="none",
    )
    assert (found.stdout, found.stderr) == ("['openai']\nModuleNotFoundError\n", "")


@pytest.mark.parametrize("asked", ["", "providers=['openai', 'google_genai']"])
def test_without_any_sdk_that_was_asked_for_it_says_so(asked: str, tmp_path: Path) -> None:
    """Nothing to record is worth a sentence."""
    found = run(
        f"""
        import sys
        sys.modules["openai"] = sys.modules["google.genai"] = None
        import otel_llm
        otel_llm.instrument({asked})
        """,
        tmp_path,
        OTEL_TRACES_EXPORTER="none",
    )
    assert found.returncode == 0
    assert sorted(found.stderr.splitlines()) == [
        "google-genai is not installed, none of its calls can be recorded.",
        "openai is not installed, none of its calls can be recorded.",
    ]


def test_a_collector_that_is_away_harms_nothing(tmp_path: Path) -> None:
    """The call is answered, the program ends well, and no traceback is printed."""
    with ScriptedProvider() as provider:
        found = run(
            f"URL = {provider.openai_base_url!r}\nimport otel_llm; otel_llm.instrument()\n" + CALL,
            tmp_path,
            OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        )
    assert found.returncode == 0
    assert found.stdout.startswith("This is a scripted answer")
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER=zipkin is not known: use otlp, console or none."),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/json",
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/json is not known: use http/protobuf or grpc.",
        ),
    ],
)
def test_an_unknown_exporter_is_named(
    variable: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that cannot be used: which, and what would be right."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        _exporter(_kind(config.EXPORTER), "trace", "Span", None)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("value", "captures"),
    [
        ("", (False, False)),
        ("NO_CONTENT", (False, False)),
        ("span_only", (True, False)),
        ("EVENT_ONLY", (False, True)),
        ("SPAN_AND_EVENT", (True, True)),
        ("true", (False, False)),
    ],
)
def test_content_is_captured_only_when_asked(
    value: str, captures: tuple[bool, bool], caplog: pytest.LogCaptureFixture
) -> None:
    """The conventions' variable; anything that is not one of its values means no, and is said."""
    assert config.capture({config.CAPTURE.variable: value}) == captures
    assert (value == "true") == ("use NO_CONTENT, SPAN_ONLY, EVENT_ONLY" in caplog.text)


def test_spans_reach_the_console(tmp_path: Path) -> None:
    """The standard variable for where spans go, and the service's name by its own."""
    with ScriptedProvider() as provider:
        found = run(
            f"URL = {provider.openai_base_url!r}\nimport otel_llm; otel_llm.instrument()\n" + CALL,
            tmp_path,
            OTEL_TRACES_EXPORTER="console",
            OTEL_SERVICE_NAME="shop",
        )
    span = json.loads(found.stdout[found.stdout.index("{") :])
    assert span["name"] == "chat gpt-5-mini"
    assert span["resource"]["attributes"]["service.name"] == "shop"
    assert "gen_ai.input.messages" not in span["attributes"]


@pytest.mark.parametrize("end", ["", "def last(): next(ask())\nlast()", "kept = ask(); next(kept)"])
def test_a_stream_that_is_open_when_the_program_ends_is_recorded(end: str, tmp_path: Path) -> None:
    """Never read, dropped at the last moment, or kept by a global name: the span is sent before the program is gone."""
    ask = """
        client = openai.OpenAI(api_key="x", base_url=URL, max_retries=0)
        def ask():
            return client.responses.create(model="gpt-5-mini", input="hi", stream=True)
    """
    with ScriptedProvider() as provider:
        found = run(
            f"import openai, otel_llm\nURL = {provider.openai_base_url!r}\notel_llm.instrument()\n"
            + textwrap.dedent(ask)
            + (end or "unread = ask()"),
            tmp_path,
            OTEL_TRACES_EXPORTER="console",
        )
    assert found.stderr == ""
    assert json.loads(found.stdout)["attributes"]["otel_llm.stream.outcome"] == "abandoned"
