"""``opentelemetry-instrument``: found by the entry point, with the providers that OpenTelemetry has set up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from otel_llm.testing import ScriptedProvider

APP = """
import json, sys
early = sorted(name for name in sys.modules if name in ("openai", "google.genai"))
import openai
with openai.OpenAI(api_key="x", base_url=sys.argv[1], max_retries=0) as client:
    client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "Why?"}])
from opentelemetry import trace
print(json.dumps({"early": early, "provider": type(trace.get_tracer_provider()).__name__}))
"""


def _run(tmp_path: Path, url: str, **variables: str) -> tuple[dict[str, object], list[dict[str, object]]]:
    """What the application said, and its spans as the console exporter writes them."""
    command = [str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable, "-c", APP, url]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environ |= {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environ | variables, check=False
    )
    assert done.returncode == 0, done.stderr
    decoder, text, found = json.JSONDecoder(), done.stdout, []
    while (start := text.find("{")) >= 0:
        value, end = decoder.raw_decode(text, start)
        found.append(value)
        text = text[end:]
    said = next(value for value in found if "early" in value)
    return said, [value for value in found if "context" in value]


def test_an_application_is_instrumented_without_a_line_of_its_own(tmp_path: Path) -> None:
    """One span of each call, sent once, and no SDK imported before the application does."""
    with ScriptedProvider() as provider:
        said, spans = _run(tmp_path, provider.openai_base_url)
    assert said == {"early": [], "provider": "TracerProvider"}
    assert [span["name"] for span in spans if str(span["name"]).startswith("chat")] == ["chat gpt-5-mini"]


def test_it_can_be_turned_off_by_its_name(tmp_path: Path) -> None:
    """OpenTelemetry's own variable."""
    with ScriptedProvider() as provider:
        _, spans = _run(tmp_path, provider.openai_base_url, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="otel_llm")
    assert not [span for span in spans if str(span["name"]).startswith("chat")]
