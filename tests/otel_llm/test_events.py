"""Events of calls: that one began, its details with structured content, its exception."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from google.genai import errors
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

import otel_llm
from otel_llm import events
from otel_llm.testing import Reply, ScriptedProvider, ToolCall, Usage
from tests.conftest import Spans

CHAT: dict[str, Any] = {
    "model": "gpt-5-mini",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is a flame?"}],
}
REPLY = Reply("Hot gas.", usage=Usage(input=10, output=6), chunks=2)
CONTENT = {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions"}


class Records:
    """A logger provider, and what it has been told."""

    def __init__(self) -> None:
        self.exporter = InMemoryLogRecordExporter()
        self.provider = LoggerProvider()
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(self.exporter))

    def all(self, name: str) -> list[Any]:
        """The records of an event."""
        return [each.log_record for each in self.exporter.get_finished_logs() if each.log_record.event_name == name]


@pytest.fixture
def records(provider: ScriptedProvider) -> Iterator[Records]:
    """Nothing is instrumented yet."""
    provider.script(lambda request: REPLY)
    records = Records()
    yield records
    records.provider.shutdown()


def _ask(client: Any, streamed: bool) -> None:
    if streamed:
        list(client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))
    else:
        client.chat.completions.create(**CHAT)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("mode", "on_span", "on_event"),
    [
        ("NO_CONTENT", False, False),
        ("SPAN_ONLY", True, False),
        ("EVENT_ONLY", False, True),
        ("SPAN_AND_EVENT", True, True),
    ],
)
def test_each_mode_puts_content_where_it_says(
    mode: Any,
    on_span: bool,
    on_event: bool,
    streamed: bool,
    spans: Spans,
    records: Records,
    openai_client: Any,
) -> None:
    """On the span as JSON, on the event as structure; nowhere else."""
    otel_llm.instrument(tracer_provider=spans.provider, logger_provider=records.provider, capture_content=mode)
    _ask(openai_client, streamed)
    span = spans.one()
    assert CONTENT.issubset(span.attributes or {}) == on_span
    assert CONTENT.isdisjoint(span.attributes or {}) != on_span
    details = records.all(events.DETAILS)
    assert len(details) == on_event
    if on_event:
        (event,) = details
        identity = span.get_span_context()
        assert identity is not None
        assert (event.trace_id, event.span_id) == (identity.trace_id, identity.span_id)
        assert event.severity_text == "DEBUG"
        assert event.attributes["gen_ai.usage.input_tokens"] == 10
        assert [part["content"] for part in event.attributes["gen_ai.system_instructions"]] == ["Be brief."]
        (sent,) = event.attributes["gen_ai.input.messages"]
        assert (sent["role"], sent["parts"][0]["content"]) == ("user", "What is a flame?")
        (given,) = event.attributes["gen_ai.output.messages"]
        assert given["parts"][0]["content"] == "Hot gas."
        if on_span:
            assert json.loads(str((span.attributes or {})["gen_ai.input.messages"]))[0]["role"] == "user"


def test_the_structure_survives_the_wire(
    spans: Spans, records: Records, provider: ScriptedProvider, gemini_client: Any
) -> None:
    """As OTLP: lists and maps, not JSON in a string."""
    provider.script(lambda request: Reply(tool_calls=[ToolCall("burn", {"what": "wax", "minutes": 3})]))
    otel_llm.instrument(tracer_provider=spans.provider, logger_provider=records.provider, capture_content="EVENT_ONLY")
    gemini_client.models.generate_content(model="gemini-2.5-flash", contents="Burn it.")
    encoded = encode_logs(records.exporter.get_finished_logs())
    (record,) = encoded.resource_logs[0].scope_logs[0].log_records
    assert record.event_name == events.DETAILS
    values = {each.key: each.value for each in record.attributes}
    message = values["gen_ai.output.messages"].array_value.values[0].kvlist_value
    parts = next(each.value for each in message.values if each.key == "parts").array_value.values
    fields = {each.key: each.value for each in parts[0].kvlist_value.values}
    assert fields["name"].string_value == "burn"
    arguments = {each.key: each.value for each in fields["arguments"].kvlist_value.values}
    assert arguments["what"].string_value == "wax"


def test_embeddings_are_no_inference(spans: Spans, records: Records, openai_client: Any) -> None:
    """The conventions have this event for inferences only."""
    otel_llm.instrument(
        tracer_provider=spans.provider, logger_provider=records.provider, capture_content="SPAN_AND_EVENT"
    )
    openai_client.embeddings.create(model="text-embedding-3-small", input="flame")
    assert records.all(events.DETAILS) == []


@pytest.mark.parametrize(
    ("mode", "on_span", "on_event"),
    [("NO_CONTENT", False, False), ("SPAN_ONLY", True, False), ("SPAN_AND_EVENT", True, True)],
)
def test_an_exception_has_its_event(
    mode: Any,
    on_span: bool,
    on_event: bool,
    spans: Spans,
    records: Records,
    provider: ScriptedProvider,
    openai_client: Any,
    gemini_client: Any,
) -> None:
    """Type, text and stack; a text that quotes the request only where content goes."""
    provider.script(lambda request: Reply(status=400, error="You said: What is a flame?"))
    otel_llm.instrument(tracer_provider=spans.provider, logger_provider=records.provider, capture_content=mode)
    with pytest.raises(openai.BadRequestError):
        openai_client.chat.completions.create(**CHAT)
    with pytest.raises(errors.ClientError):
        gemini_client.models.generate_content(model="gemini-2.5-flash", contents="What is a flame?")
    found = records.all(events.EXCEPTION)
    assert [record.attributes["exception.type"] for record in found] == [
        "openai.BadRequestError", "google.genai.errors.ClientError",
    ]  # fmt: skip
    for record, span in zip(found, spans.all(), strict=True):
        identity = span.get_span_context()
        assert identity is not None
        assert record.span_id == identity.span_id
        assert record.severity_text == "WARN"
        assert "flow.py" in record.attributes["exception.stacktrace"]
        assert ("What is a flame?" in str(record.attributes)) == on_event
        assert ("What is a flame?" in str(span.status.description)) == on_span


@pytest.mark.parametrize("wanted", [False, True])
def test_that_a_call_began_is_said_where_it_is_asked_for(
    wanted: bool,
    spans: Spans,
    records: Records,
    provider: ScriptedProvider,
    openai_client: Any,
) -> None:
    """Before the provider is asked, with what is known then."""
    seen: list[int] = []

    def answer(request: Any) -> Reply:
        seen.append(len(records.all(events.STARTED)))
        return REPLY

    provider.script(answer)
    otel_llm.instrument(tracer_provider=spans.provider, logger_provider=records.provider, start_events=wanted)
    openai_client.chat.completions.create(**CHAT, temperature=0.5)
    assert seen == [int(wanted)]
    for record in records.all(events.STARTED):
        assert record.attributes["gen_ai.request.model"] == "gpt-5-mini"
        assert record.attributes["gen_ai.request.temperature"] == 0.5
        assert CONTENT.isdisjoint(record.attributes)


def test_without_a_logger_provider_nothing_is_made(
    spans: Spans,
    provider: ScriptedProvider,
    openai_client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No record is built for nobody."""

    def built(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a record was built")

    monkeypatch.setattr(events, "LogRecord", built)
    otel_llm.instrument(tracer_provider=spans.provider, capture_content="SPAN_AND_EVENT", start_events=True)
    openai_client.chat.completions.create(**CHAT)
    provider.script(lambda request: Reply(status=500, error="no"))
    with pytest.raises(openai.InternalServerError):
        openai_client.chat.completions.create(**CHAT)
    assert len(spans.all()) == 2


def test_a_logger_that_fails_harms_nobody(
    spans: Spans, records: Records, openai_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes, and the span has the content."""

    def broken(self: Any, record: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(events.Events, "send", broken)
    otel_llm.instrument(
        tracer_provider=spans.provider, logger_provider=records.provider, capture_content="SPAN_AND_EVENT",
        start_events=True,
    )  # fmt: skip
    assert openai_client.chat.completions.create(**CHAT).choices
    assert CONTENT.issubset(spans.attributes())
