"""The completion hook: content stored elsewhere by the conventions' own hook, with references on the span."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.util.genai import types

import otel_llm
from otel_llm import config, events
from otel_llm.errors import ConfigError
from otel_llm.testing import Reply, ScriptedProvider, ToolCall
from tests.conftest import Spans

PNG = "data:image/png;base64,iVBORw0KGgo="
LONG = "wax " * 40_000
CHAT: dict[str, Any] = {
    "model": "gpt-5-mini",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": LONG}, {"type": "image_url", "image_url": {"url": PNG}}],
        },
    ],
    "tools": [{"type": "function", "function": {"name": "burn", "parameters": {"type": "object"}}}],
}


class Hook:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def on_completion(self, **said: Any) -> None:
        """Notes a call."""
        self.calls.append(said)


class Broken(Hook):
    """Fails."""

    def on_completion(self, **said: Any) -> None:
        """Fails."""
        raise ZeroDivisionError


@pytest.mark.parametrize("mode", ["NO_CONTENT", "SPAN_ONLY", "SPAN_AND_EVENT"])
def test_the_conventions_own_hook_stores_content_in_files(
    mode: Any,
    spans: Spans,
    provider: ScriptedProvider,
    openai_client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the standard variables: files, references on the span and the event, content on the span as the mode says."""
    provider.script(lambda request: Reply("Hot gas."))
    monkeypatch.setenv(config.COMPLETION_HOOK.variable, "upload")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH", tmp_path.as_uri())
    exporter, loggers = InMemoryLogRecordExporter(), LoggerProvider()
    loggers.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    otel_llm.instrument(tracer_provider=spans.provider, logger_provider=loggers, capture_content=mode)
    openai_client.chat.completions.create(**CHAT)
    values = spans.attributes()
    names = {
        "gen_ai.input.messages_ref", "gen_ai.output.messages_ref", "gen_ai.system_instructions_ref",
        "gen_ai.tool.definitions_ref",
    }  # fmt: skip
    assert names <= values.keys()
    assert ("gen_ai.output.messages" in values) == (mode != "NO_CONTENT")
    stored = {name: _read(values[name]) for name in names}
    assert stored["gen_ai.input.messages_ref"][0]["parts"][0]["content"] == LONG
    assert stored["gen_ai.output.messages_ref"][0]["parts"][0]["content"] == "Hot gas."
    assert stored["gen_ai.system_instructions_ref"][0]["content"] == "Be brief."
    assert stored["gen_ai.tool.definitions_ref"][0]["name"] == "burn"
    found = [each.log_record for each in exporter.get_finished_logs() if each.log_record.event_name == events.DETAILS]
    assert [names <= dict(record.attributes or {}).keys() for record in found] == [True] * (mode == "SPAN_AND_EVENT")
    loggers.shutdown()


def _read(reference: Any) -> Any:
    """What was written behind a reference; it is written by threads of the hook's."""
    path = Path(str(reference).removeprefix("file://"))
    for _ in range(500):
        if path.exists() and (text := path.read_text()).endswith("\n"):
            return json.loads(text)
        time.sleep(0.01)
    raise AssertionError(f"{path} was not written")


def test_a_hook_is_given_typed_messages_whole(spans: Spans, provider: ScriptedProvider, openai_client: Any) -> None:
    """The classes of opentelemetry-util-genai, nothing cut, binary parts with their bytes."""
    provider.script(lambda request: Reply(tool_calls=[ToolCall("burn", {"what": "wax"}, "c1")]))
    hook = Hook()
    otel_llm.instrument(tracer_provider=spans.provider, completion_hook=hook)
    openai_client.chat.completions.create(**CHAT)
    (call,) = hook.calls
    (sent,) = call["inputs"]
    assert isinstance(sent, types.InputMessage)
    assert sent.parts == [types.TextPart(LONG), types.BlobPart("image/png", "image", b"\x89PNG\r\n\x1a\n")]
    (given,) = call["outputs"]
    assert isinstance(given, types.OutputMessage)
    assert given.parts == [types.ToolCallRequestPart({"what": "wax"}, "burn", "c1")]
    assert call["system_instruction"] == [types.TextPart("Be brief.")]
    assert call["tool_definitions"] == [types.FunctionToolDefinition("burn", None, {"type": "object"})]
    assert call["log_record"] is None
    assert spans.attributes()["gen_ai.usage.input_tokens"] > 0


def test_a_hook_is_given_what_redaction_leaves(spans: Spans, provider: ScriptedProvider, gemini_client: Any) -> None:
    """Of what is sent and of what comes back, streamed too."""
    provider.script(lambda request: Reply("It is 4711, Ada.", chunks=4))
    hook = Hook()
    otel_llm.instrument(
        tracer_provider=spans.provider, completion_hook=hook, redact=lambda text: text.replace("4711", "****")
    )
    list(gemini_client.models.generate_content_stream(model="gemini-2.5-flash", contents="My code is 4711."))
    (call,) = hook.calls
    assert call["inputs"][0].parts == [types.TextPart("My code is ****.")]
    assert call["outputs"][0].parts == [types.TextPart("It is ****, Ada.")]


def test_a_hook_that_fails_harms_nobody(
    spans: Spans,
    openai_client: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer comes, the span is whole, and it is said once."""
    monkeypatch.setattr(config, "_said", set())
    otel_llm.instrument(tracer_provider=spans.provider, completion_hook=Broken())
    with caplog.at_level(logging.WARNING, logger="otel_llm"):
        for _ in range(2):
            assert openai_client.chat.completions.create(**CHAT).choices
    assert len(spans.all()) == 2
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "otel_llm failed in Broken.on_completion"
    ]


def test_a_hook_that_cannot_be_used_is_named(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong, and what would be right."""
    with pytest.raises(ConfigError, match="needs a method on_completion"):
        otel_llm.instrument(tracer_provider=spans.provider, completion_hook=object())
    monkeypatch.setenv(config.COMPLETION_HOOK.variable, "uplaod")
    with pytest.raises(ConfigError, match="uplaod is not installed: there is upload"):
        otel_llm.instrument(tracer_provider=spans.provider)
