"""``opentelemetry-instrument``: the real command, before a program that knows nothing of us."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import propagate

from otel_llm import patches
from otel_llm.entry import OtelLLMInstrumentor
from otel_llm.testing import ScriptedProvider
from tests.conftest import Spans
from tests.support.receiver import Receiver

PROGRAM = """
import os, sys
before = {name: name in sys.modules for name in ("openai", "google.genai")}
import openai
openai.OpenAI(api_key="x", base_url=os.environ["BASE_URL"]).chat.completions.create(
    model="gpt-5-mini", messages=[{"role": "user", "content": "hi"}])
import json
print(json.dumps(before))
"""


def _instrument(tmp_path: Path, provider: ScriptedProvider, **variables: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "app.py").write_text(textwrap.dedent(PROGRAM))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OPENAI_"))}
    command = Path(sys.executable).with_name("opentelemetry-instrument")
    return subprocess.run(
        [str(command), sys.executable, "app.py"], capture_output=True, text=True, timeout=100, cwd=tmp_path,
        env=clean | {"BASE_URL": provider.openai_base_url} | variables, check=True,
    )  # fmt: skip


def test_the_command_instruments_a_program(tmp_path: Path, provider: ScriptedProvider) -> None:
    """Spans go where the standard variables say; no SDK is imported before the program imports it."""
    with Receiver() as receiver:
        done = _instrument(tmp_path, provider, OTEL_SERVICE_NAME="shop", **receiver.variables)
        (span,) = [span for span in receiver.spans() if span["scope"] == "otel_llm"]
    assert json.loads(done.stdout) == {"openai": False, "google.genai": False}
    assert (span["name"], span["resource"]["service.name"]) == ("chat gpt-5-mini", "shop")
    assert span["otel_llm.cost.status"] == "priced"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "otel_llm", ""),
        ("OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK", "nowhere", "otel_llm records nothing: "),
    ],
)
def test_it_can_be_left_out(variable: str, value: str, said: str, tmp_path: Path, provider: ScriptedProvider) -> None:
    """By the command's own variable; and a setting that cannot be used leaves the others at work, and says so."""
    with Receiver() as receiver:
        done = _instrument(tmp_path, provider, **receiver.variables, **{variable: value})
        assert receiver.spans() == []
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(provider.requests) == 1


def test_the_entry_point_is_ours_alone() -> None:
    """Four other instrumentations are all called ``openai``; the switch takes what OpenTelemetry hands to it."""
    (point,) = [
        point
        for point in importlib.metadata.entry_points(group="opentelemetry_instrumentor")
        if point.dist is not None and point.dist.name == "otel-llm"
    ]
    assert point.name == "otel_llm"
    assert point.load() is OtelLLMInstrumentor


def test_the_switch(spans: Spans, openai_client: Any) -> None:
    """On with the application's provider, and off."""
    before = propagate.get_global_textmap()
    switch = OtelLLMInstrumentor()
    switch.instrument(tracer_provider=spans.provider, skip_dep_check=True)
    openai_client.embeddings.create(model="text-embedding-3-small", input="hi")
    switch.uninstrument()
    openai_client.embeddings.create(model="text-embedding-3-small", input="hi")
    assert spans.one().name == "embeddings text-embedding-3-small"
    assert patches.STATE.patches == {}
    assert propagate.get_global_textmap() is before


def test_providers_that_are_there_need_no_exporter_of_ours(
    spans: Spans, openai_client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The command knows exporters, and lists of them, that we do not: what is set up is used."""
    for variable in ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"):
        monkeypatch.setenv(variable, "none" if variable != "OTEL_TRACES_EXPORTER" else "otlp_proto_grpc,zipkin")
    with caplog.at_level(logging.ERROR):
        OtelLLMInstrumentor().instrument(tracer_provider=spans.provider)
    openai_client.embeddings.create(model="text-embedding-3-small", input="hi")
    assert len(spans.all()) == 1
    assert caplog.records == []
