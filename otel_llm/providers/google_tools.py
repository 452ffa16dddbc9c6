"""The tools that a request offers, in the conventions' schema."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from otel_llm.config import fault
from otel_llm.provider import Params, get
from otel_llm.providers.google_parts import either

#: What a description and a schema are called where a function is declared.
_SAID = (
    ("description", "description"),
    ("parameters", "parameters"),
    ("parameters_json_schema", "parameters"),
    ("parametersJsonSchema", "parameters"),
    ("inputSchema", "parameters"),
    ("input_schema", "parameters"),
)
_DECLARED = ("function_declarations", "functionDeclarations")
_SERVERS = ("mcp_servers", "mcpServers")


def tool_definitions(params: Params) -> list[dict[str, Any]] | None:
    """The tools on offer: functions by name, Python functions by theirs, built-in ones by their kind."""
    tools = params.get("tools")
    definitions: list[dict[str, Any]] = []
    for tool in tools if isinstance(tools, list | tuple) else ():
        try:
            definitions += _defined(tool)
        except Exception:
            fault("a tool on offer")
    return definitions or None


def _defined(tool: Any) -> Iterator[dict[str, Any]]:
    if callable(tool) and hasattr(tool, "__name__"):
        yield _function(tool.__name__, {"description": description(tool)})
        return
    if hasattr(tool, "call_tool"):  # an MCP session, whose tools the SDK asks for
        yield {"type": "mcp", "name": "mcp"}
        return
    if hasattr(tool, "inputSchema") or hasattr(tool, "input_schema"):  # one of MCP's tools
        yield _function(tool.name, tool)
        return
    for declared in either(tool, *_DECLARED) or ():
        yield _function(get(declared, "name"), declared)
    for server in either(tool, *_SERVERS) or ():
        yield {"type": "mcp", "name": str(get(server, "name") or "mcp")}
    given = tool if isinstance(tool, dict) else getattr(tool, "model_fields_set", ())
    for name in given:
        if name not in _DECLARED and name not in _SERVERS and get(tool, name) is not None:
            yield {"type": name, "name": name}


def _function(name: Any, said: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "function", "name": str(name or "")}
    for key, what in _SAID:
        if value := get(said, key):
            found[what] = value
    return found


def description(function: Any) -> str | None:
    """What a Python function says of itself, as the SDK tells the model."""
    said = getattr(function, "__doc__", None)
    return inspect.cleandoc(said) if isinstance(said, str) and said else None
