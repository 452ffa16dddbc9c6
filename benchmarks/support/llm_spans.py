"""Requests of spans of LLM calls, of 1.4 KB each, as a batch span processor sends them."""

from __future__ import annotations

import json
import random
import time
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_START = time.time_ns() - 86_400_000_000_000
_WORDS = [
    "the",
    "of",
    "model",
    "answer",
    "topic",
    "user",
    "request",
    "price",
    "tea",
    "north",
    "higher",
    "than",
    "before",
]


def llm_request(spans: int, seed: int = 0) -> ExportTraceServiceRequest:
    """A request of one service; another seed gives other ids, texts and numbers."""
    chance = random.Random(seed)
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    service = {"service.name": "shop", "service.version": "1.4.2", "telemetry.sdk.language": "python"}
    group.resource.attributes.extend(_attributes(service))
    scope = group.scope_spans.add()
    scope.scope.name, scope.scope.version = "otel_llm", "0.1.0"
    scope.spans.extend(_span(number, chance) for number in range(spans))
    return request


def _span(number: int, chance: random.Random) -> Span:
    start = _START + number * 1_000_000
    span = Span(
        trace_id=chance.randbytes(16),
        span_id=chance.randbytes(8),
        parent_span_id=chance.randbytes(8),
        name="chat gpt-5-mini",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=start,
        end_time_unix_nano=start + chance.randrange(2_000_000_000),
        flags=0x101,
        attributes=_attributes(_call(chance)),
    )
    event = span.events.add(name="gen_ai.choice", time_unix_nano=start + 1_000_000)
    event.attributes.extend(_attributes({"index": 0, "finish_reason": "stop"}))
    return span


def _call(chance: random.Random) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.response.model": "gpt-5-mini-2026-08-07",
        "gen_ai.response.id": f"chatcmpl-{chance.randrange(10**20):020d}",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": chance.randrange(4000),
        "gen_ai.usage.output_tokens": chance.randrange(900),
        "gen_ai.request.temperature": 0.7,
        "gen_ai.conversation.id": f"conv-{chance.randrange(10**9)}",
        "gen_ai.input.messages": _message("user", 65, chance),
        "gen_ai.output.messages": _message("assistant", 25, chance),
        "otel_llm.cost.total": chance.random() / 100,
        "gen_ai.prompt.name": "topic_extraction",
        "gen_ai.prompt.version": "3",
        "gen_ai.request.stream": False,
        "server.address": "api.openai.com",
    }


def _message(role: str, words: int, chance: random.Random) -> str:
    text = " ".join(chance.choices(_WORDS, k=words))
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def _attributes(values: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in values.items()]


def _value(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=map(_value, value)))
    return AnyValue(string_value=value)
