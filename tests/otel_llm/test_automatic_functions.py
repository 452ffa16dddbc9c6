"""Functions that Google's SDK runs by itself: each is a span below the call that asked for it, and all is counted."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from google.genai import errors
from opentelemetry.sdk.trace import ReadableSpan

from otel_llm import attributes as a
from otel_llm.providers.google_content import ENDPOINTS
from otel_llm.testing import Reply, Request, ScriptedProvider, ToolCall, Usage
from tests.conftest import Spans
from tests.support.google_sdk import call, call_async, opened, opened_async
from tests.support.google_tools import needs_late_mcp, tide, weather, weather_by

CALLING = [
    Reply(
        "Let me look.",
        tool_calls=[ToolCall("weather", {"city": "Rome"}, "call_1")],
        usage=Usage(input=100, output=10, cached=20),
        chunks=2,
    ),
    Reply("Sunny.", usage=Usage(input=150, output=20, reasoning=5), chunks=2),
]
PATHS = [
    "models.generate_content",
    "models.generate_content_stream",
    "chat.send_message",
    "chat.send_message_stream",
]


def _asked(path: str, *tools: Any) -> dict[str, Any]:
    config = {"tools": list(tools)}
    if path.startswith("chat."):
        return {"message": "How is Rome?", "config": config}
    return {"model": "gemini-2.5-flash", "contents": "How is Rome?", "config": config}


def _apart(spans: Spans) -> tuple[list[ReadableSpan], list[ReadableSpan]]:
    """The model calls, and the tools."""
    found = sorted(spans.all(), key=lambda span: span.start_time or 0)
    tools = [span for span in found if span.name.startswith("execute_tool")]
    return [span for span in found if span not in tools], tools


def _identity(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def _total(calls: list[ReadableSpan], name: str) -> int:
    return sum(int(str((span.attributes or {}).get(name, 0))) for span in calls)


def _run(provider: ScriptedProvider, mode: str, path: str, *tools: Any) -> Any:
    async def run_async() -> Any:
        async with opened_async(provider) as client:
            return await call_async(client, path, _asked(path, *tools))

    if mode == "async":
        return asyncio.run(run_async())
    with opened(provider) as client:
        return call(client, path, _asked(path, *tools))


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("path", PATHS)
def test_each_function_is_a_span_and_every_round_is_counted(
    path: str, mode: str, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """The tokens of all requests are there, their cost is exact, and the function is below the call that asked."""
    provider.script(CALLING)
    answer = _run(provider, mode, path, weather)
    assert (answer[-1] if isinstance(answer, list) else answer).text in ("Sunny.", "ny.")
    assert len(provider.requests) == 2
    calls, (tool,) = _apart(instrumented)
    assert _total(calls, "gen_ai.usage.input_tokens") == 250
    assert _total(calls, "gen_ai.usage.output_tokens") == 30
    assert _total(calls, "gen_ai.usage.cache_read.input_tokens") == 20
    assert _total(calls, "gen_ai.usage.reasoning.output_tokens") == 5
    assert {(span.attributes or {})["otel_llm.cost.status"] for span in calls} == {"priced"}
    assert tool.parent is not None
    assert (tool.parent.trace_id, tool.parent.span_id) == _identity(calls[0])
    assert (tool.name, tool.kind.name, tool.status.status_code.name) == ("execute_tool weather", "INTERNAL", "UNSET")
    assert dict(tool.attributes or {}) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "call_1",
        "gen_ai.tool.description": "The weather of a city.",
        "gen_ai.tool.call.arguments": '{"city":"Rome"}',
        "gen_ai.tool.call.result": "Sunny in Rome.",
    }


@pytest.mark.parametrize("path", PATHS[:2])
def test_one_call_for_all_rounds(path: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """``generate_content`` and its stream stay one call, whose answer is the last one."""
    provider.script(CALLING)
    _run(provider, "sync", path, weather)
    (span,), _ = _apart(instrumented)
    attributes = span.attributes or {}
    assert attributes["gen_ai.response.id"] == "gemini-00000002"
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert "Sunny." in str(attributes["gen_ai.output.messages"])


@pytest.mark.parametrize("path", PATHS)
def test_a_coroutine_is_a_function_too(path: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    provider.script([Reply(tool_calls=[ToolCall("tide", {"city": "Rome"})]), Reply("Low.")])
    _run(provider, "async", path, tide)
    _, (tool,) = _apart(instrumented)
    assert (tool.attributes or {})["gen_ai.tool.call.result"] == '{"metres":4}'
    assert "gen_ai.tool.call.id" not in (tool.attributes or {})


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("path", PATHS)
def test_a_function_that_raises(path: str, mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """Its span has the error that it raised; the SDK tells the model, and goes on."""

    def unknown(city: str) -> str:
        raise LookupError(f"{city} is not on the map")

    provider.script(CALLING)
    _run(provider, mode, path, weather_by(unknown))
    assert "Rome is not on the map" in str(provider.requests[1].body)
    calls, (tool,) = _apart(instrumented)
    assert (tool.attributes or {})["error.type"] == "LookupError"
    assert tool.status.status_code.name == "ERROR"
    assert all(span.status.status_code.name == "UNSET" for span in calls)


@pytest.mark.parametrize("path", PATHS)
def test_a_function_that_asks_a_model_is_a_parent(path: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """The call that it makes is a call of its own, below it, and leaves the counts of the other alone."""
    with opened(provider) as inner:

        def ask(city: str) -> str:
            return str(inner.models.generate_content(model="gemini-2.5-flash-lite", contents=city).text)

        def script(request: Request) -> Reply:
            if request.model.endswith("lite"):
                return Reply("Sunny.", usage=Usage(input=7, output=1))
            return CALLING[0] if len(provider.requests) == 1 else CALLING[1]

        provider.script(script)
        _run(provider, "sync", path, weather_by(ask))
    calls, (tool,) = _apart(instrumented)
    (below,) = [span for span in calls if span.name.endswith("lite")]
    assert below.parent is not None
    assert (below.parent.trace_id, below.parent.span_id) == _identity(tool)
    assert _total([below], "gen_ai.usage.input_tokens") == 7
    assert _total([span for span in calls if span is not below], "gen_ai.usage.input_tokens") == 250


@pytest.mark.parametrize("path", PATHS)
def test_calls_at_the_same_time_do_not_mix(path: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """Each function is below the call of its own task, with that call's own id."""

    def script(request: Request) -> Reply:
        city = next(name for name in ("Rome", "Oslo", "Bern", "Lima") if name in str(request.body))
        if "functionResponse" in str(request.body):
            return Reply("Fine.", usage=Usage(10, 1), delay=0.01)
        return Reply(tool_calls=[ToolCall("weather", {"city": city}, f"call_{city}")], usage=Usage(10, 1), delay=0.01)

    async def several() -> None:
        async with opened_async(provider) as client:
            await asyncio.gather(*(
                call_async(client, path, _asked(path, weather) | {
                    "message" if path.startswith("chat.") else "contents": f"How is {city}?"})
                for city in ("Rome", "Oslo", "Bern", "Lima")
            ))  # fmt: skip

    provider.script(script)
    asyncio.run(several())
    calls, tools = _apart(instrumented)
    by_identity = {_identity(span): span.attributes or {} for span in calls}
    assert len(tools) == 4
    for tool in tools:
        assert tool.parent is not None
        city = str((tool.attributes or {})["gen_ai.tool.call.id"]).removeprefix("call_")
        assert city in str((tool.attributes or {})["gen_ai.tool.call.arguments"])
        assert city in str(by_identity[tool.parent.trace_id, tool.parent.span_id]["gen_ai.input.messages"])


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("path", PATHS)
def test_a_later_round_that_fails(path: str, mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """What the rounds before it used is counted."""
    provider.script([CALLING[0], Reply(status=400, error="No.")])
    with pytest.raises(errors.ClientError):
        _run(provider, mode, path, weather)
    calls, _ = _apart(instrumented)
    assert _total(calls, "gen_ai.usage.input_tokens") == 100
    assert calls[-1].status.status_code.name == "ERROR"
    assert (calls[-1].attributes or {})["error.type"] == "400"


def test_functions_left_to_the_caller_are_no_spans(instrumented: Spans, provider: ScriptedProvider) -> None:
    """With automatic calling off, the SDK runs nothing."""
    provider.script(CALLING)
    asked = _asked("models.generate_content", weather)
    asked["config"]["automatic_function_calling"] = {"disable": True}
    with opened(provider) as client:
        assert client.models.generate_content(**asked).function_calls[0].name == "weather"
    (span,), tools = _apart(instrumented)
    assert not tools
    assert (span.attributes or {})["gen_ai.response.finish_reasons"] == ("tool_call",)


def test_rounds_that_nobody_heard_leave_the_cost_partial() -> None:
    """In an SDK whose function calling is somewhere else, the last answer alone is known, and says so."""
    answer = SimpleNamespace(candidates=[], automatic_function_calling_history=["a round"])
    assert ENDPOINTS[0].read(answer)[a.COST_STATUS.name] == "partial"


class _Session:
    """An MCP session, as far as the SDK looks at it."""

    def __init__(self, fails: bool) -> None:
        self.fails = fails

    async def list_tools(self) -> Any:
        schema = {"type": "object", "properties": {"city": {"type": "string"}}}
        tool = SimpleNamespace(name="weather", description="The weather.", inputSchema=schema)
        return SimpleNamespace(tools=[tool])

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
        return {"content": f"Sunny in {arguments['city']}.", "isError": self.fails}


@needs_late_mcp
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_a_tool_of_an_mcp_session(
    path: str, fails: bool, instrumented: Spans, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a span like a function; that it failed is said in its result."""
    mcp, kinds = ModuleType("mcp"), ModuleType("mcp.types")
    mcp.__dict__.update(ClientSession=_Session, types=kinds)
    kinds.__dict__.update(Tool=type("Tool", (), {}))
    monkeypatch.setitem(sys.modules, "mcp", mcp)
    monkeypatch.setitem(sys.modules, "mcp.types", kinds)
    provider.script(CALLING)
    _run(provider, "async", path, _Session(fails))
    calls, (tool,) = _apart(instrumented)
    attributes = tool.attributes or {}
    assert _total(calls, "gen_ai.usage.input_tokens") == 250
    assert (tool.name, attributes["gen_ai.tool.type"]) == ("execute_tool weather", "extension")
    assert attributes["gen_ai.tool.call.id"] == "call_1"
    assert "Sunny in Rome." in str(attributes["gen_ai.tool.call.result"])
    assert attributes.get("error.type") == ("tool_error" if fails else None)
