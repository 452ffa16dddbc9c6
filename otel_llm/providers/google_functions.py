"""Functions that Google's SDK runs by itself for an answer that asks for them: Python's, and those of MCP sessions.

Each is a child ``execute_tool`` of the call whose answer asked for it. The answers that asked are the earlier rounds of
``generate_content``; in a chat of a newer SDK each request is a call of its own.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from otel_llm import attributes as a
from otel_llm.provider import Endpoint, Hook, get
from otel_llm.providers.google_streams import ContentFold
from otel_llm.providers.google_tools import description

if TYPE_CHECKING:
    from otel_llm.invocation import Invocation

_Around = Generator[None, Any, None]
_Args = tuple[Any, ...]
_Kwargs = Mapping[str, Any]

#: The function calls that are being answered in this context, those that have not been run yet.
_asked: ContextVar[list[Any] | None] = ContextVar("otel_llm.functions_asked", default=None)


def _tool(type: str, result: Any = None) -> Endpoint:
    return Endpoint(
        operation="execute_tool",
        internal=True,
        subject="name",
        streamed=False,
        parameters={"name": a.TOOL_NAME, "id": a.TOOL_CALL_ID, "description": a.TOOL_DESCRIPTION},
        constants={a.TOOL_TYPE: type},
        content={"arguments": a.TOOL_ARGUMENTS},
        result=a.TOOL_RESULT,
        details=result or (lambda _: {}),
    )


def _failed(result: Any) -> Mapping[a.Attribute, Any]:
    """An MCP tool says that it failed in its result."""
    return {a.ERROR_TYPE: "tool_error"} if get(result, "is_error") or get(result, "isError") else {}


_FUNCTION = _tool("function")
_MCP = _tool("extension", _failed)


def _argument(args: _Args, kwargs: _Kwargs, position: int, name: str) -> Any:
    return args[position] if len(args) > position else kwargs.get(name)


def _response(args: _Args, kwargs: _Kwargs) -> Any:
    return _argument(args, kwargs, 0, "response")


def _calls(response: Any) -> list[Any]:
    """The function calls of an answer's first candidate, which is the one that the SDK looks at."""
    candidates = get(response, "candidates") or (None,)
    parts = get(get(candidates[0], "content"), "parts") or ()
    return [call for part in parts if (call := get(part, "function_call")) is not None]


def _answered(call: Invocation, args: _Args, kwargs: _Kwargs) -> _Around:
    """The SDK runs the functions that an answer asks for; it does so between the chunks of a stream too."""
    response = _response(args, kwargs)
    token = _asked.set(_calls(response))
    place = call.enter()
    error: BaseException | None = None
    try:
        parts = yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        call.leave(place, error)
        if not isinstance(error, GeneratorExit):  # torn down from another context, where the token means nothing
            _asked.reset(token)
    if isinstance(call.fold, ContentFold):
        call.fold.heard(response)
    elif parts:
        call.rounds.append(response)


def _offered(call: Invocation, functions: Any) -> None:
    """The SDK has functions that it may run."""
    call.busy = bool(functions)


def _id(name: str) -> str | None:
    """The model's id of the call of a function that is run now."""
    waiting = _asked.get() or []
    for index, call in enumerate(waiting):
        if get(call, "name") == name:
            id = get(waiting.pop(index), "id")
            return id if isinstance(id, str) else None
    return None


def _run(call: Invocation, endpoint: Endpoint, name: str, arguments: Any, said: str | None) -> _Around:
    step = call.child(endpoint, {"name": name, "id": _id(name), "arguments": arguments, "description": said})
    place = step.enter()
    try:
        result = yield
    except BaseException as error:
        step.leave(place, error)
        wrapped = type(error).__name__ == "FunctionInvocationError" and error.__context__
        step.end(wrapped or error)
        raise
    step.leave(place)
    step.response = result
    step.end()


def _invoked(call: Invocation, args: _Args, kwargs: _Kwargs) -> _Around:
    """A Python function is run."""
    function = _argument(args, kwargs, 1, "function_to_invoke")
    name = str(getattr(function, "__name__", "function"))
    yield from _run(call, _FUNCTION, name, _argument(args, kwargs, 0, "args"), description(function))


def _called(call: Invocation, args: _Args, kwargs: _Kwargs) -> _Around:
    """A tool of an MCP session is called."""
    asked = _argument(args, kwargs, 1, "function_call")
    yield from _run(call, _MCP, str(get(asked, "name") or "tool"), get(asked, "args"), None)


HOOKS = (
    Hook(
        module="google.genai._extra_utils",
        function="get_function_map",
        async_function=None,
        after=_offered,
    ),
    Hook(
        module="google.genai._extra_utils",
        function="get_function_response_parts",
        async_function="get_function_response_parts_async",
        around=_answered,
        of=_response,
    ),
    Hook(
        module="google.genai._extra_utils",
        function="invoke_function_from_dict_args",
        async_function="invoke_function_from_dict_args_async",
        around=_invoked,
    ),
    Hook(
        module="google.genai._adapters",
        function=None,
        async_function="McpToGenAiToolAdapter.call_tool",
        around=_called,
    ),
)
