"""Events of calls: where content goes by the capture mode, the details, the exception; structure over the wire."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider

import otel_llm
from otel_llm import attributes as a
from otel_llm import config
from otel_llm.events import DETAILS, EXCEPTION, LEVELS, STARTED
from otel_llm.testing import Reply, ScriptedProvider, ToolCall, Usage
from tests.conftest import Spans

INPUT, OUTPUT = a.INPUT_MESSAGES.name, a.OUTPUT_MESSAGES.name
SYSTEM, TOOLS = a.SYSTEM_INSTRUCTIONS.name, a.TOOL_DEFINITIONS.name
CONTENT = {INPUT, OUTPUT, SYSTEM, TOOLS}
MODE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

TOOL = {
    "type": "function",
    "function": {"name": "find", "description": "Finds.", "parameters": {"type": "object", "properties": {}}},
}
CHAT: dict[str, Any] = {
    "model": "gpt-5-mini",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
    "tools": [TOOL],
    "temperature": 0.5,
}
SENT = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
CAME = [{"role": "assistant", "parts": [{"type": "text", "content": "there"}], "finish_reason": "stop"}]


class Logs:
    """Log records in memory."""

    def __init__(self) -> None:
        self.exporter = InMemoryLogRecordExporter()
        self.provider = LoggerProvider()
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(self.exporter))

    def all(self, name: str = "") -> list[ReadableLogRecord]:
        """Every record so far, or those of a name."""
        found = self.exporter.get_finished_logs()
        return [data for data in found if not name or data.log_record.event_name == name]

    def one(self, name: str) -> Any:
        """The only record of a name."""
        (data,) = self.all(name)
        return data.log_record


@pytest.fixture
def logs() -> Iterator[Logs]:
    """A LoggerProvider of the SDK's."""
    logs = Logs()
    yield logs
    otel_llm.uninstrument()
    logs.provider.shutdown()


def plain(value: Any) -> Any:
    """An attribute of the SDK's as plain values."""
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return {key: plain(inner) for key, inner in value.items()} if hasattr(value, "items") else value


class TestModes:
    """Content is on the span, on the event, on both or nowhere, by the variable or by the argument."""

    @pytest.mark.parametrize("how", ["variable", "argument"])
    @pytest.mark.parametrize(
        ("mode", "on_span", "on_event"),
        [
            ("NO_CONTENT", False, False),
            ("SPAN_ONLY", True, False),
            ("EVENT_ONLY", False, True),
            ("SPAN_AND_EVENT", True, True),
        ],
    )
    def test_where_content_goes(
        self,
        how: str,
        mode: Any,
        on_span: bool,
        on_event: bool,
        spans: Spans,
        logs: Logs,
        openai_client: Any,
        provider: ScriptedProvider,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if how == "variable":
            monkeypatch.setenv(MODE, mode.lower())
        otel_llm.instrument(
            tracer_provider=spans.provider,
            logger_provider=logs.provider,
            capture_content=mode if how == "argument" else None,
        )
        provider.script([Reply("there", usage=Usage(input=3, output=4))])
        openai_client.chat.completions.create(**CHAT)
        attributes = spans.attributes()
        assert CONTENT & set(attributes) == (CONTENT if on_span else set())
        if on_span:
            assert json.loads(attributes[OUTPUT]) == CAME
        if not on_event:
            assert logs.all() == []
            return
        record = logs.one(DETAILS)
        assert plain(record.attributes[INPUT]) == SENT
        assert plain(record.attributes[OUTPUT]) == CAME
        assert plain(record.attributes[SYSTEM]) == [{"type": "text", "content": "Be brief."}]
        assert plain(record.attributes[TOOLS])[0]["parameters"] == {"type": "object", "properties": {}}

    @pytest.mark.parametrize(("given", "on_span"), [(True, True), (False, False)])
    def test_true_and_false(self, given: bool, on_span: bool, spans: Spans, logs: Logs, openai_client: Any) -> None:
        otel_llm.instrument(tracer_provider=spans.provider, logger_provider=logs.provider, capture_content=given)
        openai_client.chat.completions.create(**CHAT)
        assert (INPUT in spans.attributes()) is on_span
        assert logs.all() == []

    @pytest.mark.parametrize("value", ["true", "yes", "SPAN"])
    def test_an_unknown_mode_is_said_and_means_nothing(
        self, value: str, spans: Spans, openai_client: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        monkeypatch.setenv(MODE, value)
        with caplog.at_level(logging.WARNING, logger="otel_llm"):
            otel_llm.instrument(tracer_provider=spans.provider)
        assert MODE in caplog.text
        openai_client.chat.completions.create(**CHAT)
        assert not CONTENT & set(spans.attributes())


@pytest.fixture
def eventful(spans: Spans, logs: Logs) -> Logs:
    """Both SDKs instrumented, content on events only."""
    otel_llm.instrument(tracer_provider=spans.provider, logger_provider=logs.provider, capture_content="EVENT_ONLY")
    return logs


class TestDetails:
    """The event of a request to a model has all that the span has, with its ids."""

    def test_its_attributes_and_ids(
        self, eventful: Logs, spans: Spans, openai_client: Any, provider: ScriptedProvider
    ) -> None:
        provider.script([Reply("there", usage=Usage(input=300, output=250), model="gpt-5-mini-2025-08-07")])
        with otel_llm.context(user_id="ada", metadata={"flow": "x"}):
            openai_client.chat.completions.create(**CHAT, service_tier="flex", metadata={"note": "a"})
        span, record = spans.one(), eventful.one(DETAILS)
        identity = span.get_span_context()
        assert (record.trace_id, record.span_id) == (identity.trace_id, identity.span_id)
        assert (record.severity_number, record.severity_text) == (SeverityNumber.DEBUG, "DEBUG")
        assert span.start_time <= record.timestamp
        assert record.body is None
        said = plain(record.attributes)
        on_span = plain(span.attributes)
        assert {name: value for name, value in said.items() if name in on_span} == on_span
        assert set(said) - set(on_span) == CONTENT | {"otel_llm.request.metadata"}
        assert said["otel_llm.request.metadata"] == {"note": "a"}
        assert said["otel_llm.cost.total"] > 0

    def test_a_text_is_no_structure(self, eventful: Logs, openai_client: Any) -> None:
        """A parameter that reads like JSON is the text that it is."""
        openai_client.chat.completions.create(**CHAT, prompt_cache_key="123")
        assert eventful.one(DETAILS).attributes["otel_llm.request.prompt_cache_key"] == "123"

    def test_gemini_streamed(self, eventful: Logs, gemini_client: Any, provider: ScriptedProvider) -> None:
        provider.script([Reply("one two three", chunks=3)])
        for _ in gemini_client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi"):
            pass
        record = eventful.one(DETAILS)
        assert plain(record.attributes[INPUT]) == SENT
        assert plain(record.attributes[OUTPUT])[0]["parts"] == [{"type": "text", "content": "one two three"}]

    def test_tool_calls_are_structure(self, eventful: Logs, openai_client: Any, provider: ScriptedProvider) -> None:
        provider.script([Reply(tool_calls=[ToolCall("find", {"what": {"deep": [1, 2.5, None, True]}})])])
        openai_client.chat.completions.create(**CHAT)
        (message,) = plain(eventful.one(DETAILS).attributes[OUTPUT])
        assert message["parts"][0]["arguments"] == {"what": {"deep": [1, 2.5, None, True]}}

    def test_other_operations_have_none(
        self, eventful: Logs, spans: Spans, openai_client: Any, gemini_client: Any
    ) -> None:
        """The conventions have it for requests that a model answers, not for embeddings and the like."""
        openai_client.embeddings.create(model="m", input="hi")
        gemini_client.models.count_tokens(model="m", contents="hi")
        assert len(spans.all()) == 2
        for span in spans.all():
            assert INPUT not in (span.attributes or {})
        assert eventful.all() == []

    def test_calls_that_are_not_sampled_have_it_too(self, logs: Logs, openai_client: Any) -> None:
        """Content on events does not depend on spans, with a tracer that samples nothing or with none."""
        for tracers in (TracerProvider(sampler=ALWAYS_OFF), NoOpTracerProvider()):
            otel_llm.instrument(
                tracer_provider=tracers, logger_provider=logs.provider, capture_content="SPAN_AND_EVENT"
            )
            openai_client.chat.completions.create(**CHAT)
        first, _ = logs.all(DETAILS)
        assert not first.log_record.trace_flags & 1
        assert first.log_record.trace_id
        assert plain((first.log_record.attributes or {})[INPUT]) == SENT

    def test_without_a_logger_provider_nothing_is_made(
        self, spans: Spans, openai_client: Any, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No record is built for nobody."""

        def built(*_: Any, **__: Any) -> Any:
            raise AssertionError("a record was built")

        monkeypatch.setattr("otel_llm.events._record", built)
        monkeypatch.setattr(config, "_said", set())
        otel_llm.instrument(tracer_provider=spans.provider, capture_content="SPAN_AND_EVENT", start_events=True)
        provider.script([Reply("there"), Reply(status=400, error="no")])
        openai_client.chat.completions.create(**CHAT)
        with pytest.raises(openai.BadRequestError):
            openai_client.chat.completions.create(**CHAT)
        assert all(INPUT in (span.attributes or {}) for span in spans.all())
        assert config._said == set()

    def test_a_logger_provider_that_fails(
        self, spans: Spans, openai_client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The caller gets the answer, the span its attributes."""

        class Broken(LoggerProvider):
            def get_logger(self, *_: Any, **__: Any) -> Any:
                raise RuntimeError("no logger")

        otel_llm.instrument(tracer_provider=spans.provider, logger_provider=Broken(), capture_content="SPAN_AND_EVENT")
        assert openai_client.chat.completions.create(**CHAT).choices
        assert INPUT in spans.attributes()


def wire(records: list[ReadableLogRecord]) -> Any:
    """Records as a receiver has them, from the bytes that the SDK's exporter sends."""
    data = LogsData()
    data.ParseFromString(encode_logs(records).SerializeToString())
    (record,) = data.resource_logs[0].scope_logs[0].log_records
    return record


def value(found: AnyValue) -> Any:
    """A value of protobuf as plain values."""
    kind = found.WhichOneof("value")
    if kind == "array_value":
        return [value(item) for item in found.array_value.values]
    if kind == "kvlist_value":
        return {item.key: value(item.value) for item in found.kvlist_value.values}
    return None if kind is None else getattr(found, kind)


class TestOverTheWire:
    """What OTLP makes of the event."""

    def test_structure_survives(self, eventful: Logs, openai_client: Any, provider: ScriptedProvider) -> None:
        """Arrays and maps of protobuf, not JSON in a string."""
        provider.script([Reply("there")])
        openai_client.chat.completions.create(**CHAT, seed=7)
        record = wire(eventful.all(DETAILS))
        assert record.event_name == DETAILS
        attributes = {item.key: item.value for item in record.attributes}
        assert attributes[INPUT].WhichOneof("value") == "array_value"
        assert value(attributes[INPUT]) == SENT
        assert value(attributes[OUTPUT]) == CAME
        assert value(attributes[TOOLS])[0]["parameters"] == {"type": "object", "properties": {}}
        assert value(attributes["gen_ai.request.seed"]) == 7

    def test_what_protobuf_has_no_word_for(
        self, eventful: Logs, openai_client: Any, provider: ScriptedProvider, caplog: Any
    ) -> None:
        """Integers beyond 64 bits, halves of characters, nothing, and nesting that a receiver would refuse."""
        deep: Any = "bottom"
        for _ in range(90):
            deep = {"a": [deep]}
        said = {"big": 2**70, "none": None, "half": "\ud800", "deep": deep, "float": 1e300}
        provider.script([Reply(tool_calls=[ToolCall("find", said)])])
        openai_client.chat.completions.create(**CHAT, metadata={"big": str(2**70)})
        attributes = {item.key: item.value for item in wire(eventful.all(DETAILS)).attributes}
        (message,) = value(attributes[OUTPUT])
        arguments = message["parts"][0]["arguments"]
        assert (arguments["big"], arguments["none"], arguments["half"]) == (str(2**70), None, "?")
        levels, found = 0, arguments["deep"]
        while not isinstance(found, str):
            found = found["a"] if isinstance(found, dict) else found[0]
            levels += 1
        assert levels == LEVELS - 5
        assert json.loads(found)
        assert caplog.records == []


class TestExceptions:
    """A call that fails is an event, whatever is captured."""

    @pytest.mark.parametrize("mode", ["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY"])
    def test_a_failed_call(
        self, mode: Any, spans: Spans, logs: Logs, openai_client: Any, provider: ScriptedProvider
    ) -> None:
        """Its message is content: on the event where content is, else the provider's code."""
        otel_llm.instrument(tracer_provider=spans.provider, logger_provider=logs.provider, capture_content=mode)
        provider.script([Reply(status=400, error="bad: hi", error_code="invalid_value")])
        with pytest.raises(openai.BadRequestError):
            openai_client.chat.completions.create(**CHAT)
        span, record = spans.one(), logs.one(EXCEPTION)
        identity = span.get_span_context()
        assert (record.trace_id, record.span_id) == (identity.trace_id, identity.span_id)
        assert record.severity_number is SeverityNumber.WARN
        assert record.attributes["exception.type"] == "openai.BadRequestError"
        assert ("bad: hi" in record.attributes["exception.message"]) is (mode == "EVENT_ONLY")
        assert ("bad: hi" in str(span.status.description)) is (mode == "SPAN_ONLY")
        if mode != "EVENT_ONLY":
            assert record.attributes["exception.message"] == "invalid_value"
        if mode != "SPAN_ONLY":
            assert span.status.description == "BadRequestError: invalid_value"
        assert "openai" in record.attributes["exception.stacktrace"]
        assert record.attributes["gen_ai.request.model"] == "gpt-5-mini"
        assert span.events == ()

    def test_an_error_in_the_middle_of_a_stream(
        self, eventful: Logs, openai_client: Any, provider: ScriptedProvider
    ) -> None:
        provider.script([Reply("one two three", chunks=3, fail_after=2, failure="cut")])
        with pytest.raises(openai.APIConnectionError):
            list(openai_client.chat.completions.create(**CHAT, stream=True))
        assert eventful.one(EXCEPTION).attributes["exception.type"] == "openai.APIConnectionError"
        assert "one" in str(eventful.one(DETAILS).attributes[OUTPUT])

    def test_gemini(self, eventful: Logs, gemini_client: Any, provider: ScriptedProvider) -> None:
        provider.script([Reply(status=429, error="slow down")])
        with pytest.raises(Exception, match="slow down"):
            gemini_client.models.generate_content(model="m", contents="hi")
        assert eventful.one(EXCEPTION).attributes["exception.type"] == "google.genai.errors.ClientError"

    def test_what_is_no_failure_has_none(self, eventful: Logs, openai_client: Any) -> None:
        """A stream that is left, a program that is stopped."""
        with openai_client.chat.completions.create(**CHAT, stream=True):
            pass
        assert eventful.all(EXCEPTION) == []


def test_a_call_that_begins_is_an_event(spans: Spans, logs: Logs, openai_client: Any) -> None:
    """Where it is asked for: without content, with the span's ids, before the call ends."""
    otel_llm.instrument(
        tracer_provider=spans.provider,
        logger_provider=logs.provider,
        capture_content="SPAN_AND_EVENT",
        start_events=True,
    )
    openai_client.chat.completions.create(**CHAT)
    started, details = logs.all()
    assert (started.log_record.event_name, details.log_record.event_name) == (STARTED, DETAILS)
    attributes = started.log_record.attributes or {}
    assert attributes["gen_ai.request.temperature"] == 0.5
    assert not CONTENT & set(attributes)
    assert started.log_record.span_id == details.log_record.span_id
