"""What a call asks for, and what it is answered: its parameters, by the endpoint's table, and its content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm import attributes as a
from otel_llm.config import fault
from otel_llm.context import current
from otel_llm.provider import Params
from otel_llm.redaction import Redact, redacted

if TYPE_CHECKING:
    from otel_llm.invocation import Invocation

_COERCE = {"string": str, "int": int, "double": float, "bool": bool}
_STREAM, _PARAM, _METADATA = a.STREAM.name, a.REQUEST_PARAM.name, a.METADATA.name

#: Attributes that are there whatever is captured, and are free text all the same.
_FREE = frozenset({a.STOP_SEQUENCES.name, a.TAGS.name, a.TOOL_DESCRIPTION.name})


def read_parameters(call: Invocation, params: Params) -> None:
    """Puts what the application said, constants and parameters among the call's values."""
    endpoint, values = call.endpoint, call.values
    values.update(current())
    for attribute, constant in endpoint.constants.items():
        values[attribute.name] = constant
    if call.streaming:
        values[_STREAM] = True
    for name, value in params.items():
        try:
            _read_parameter(call, name, value)
        except Exception:
            fault(f"the value of {name}")
    for attribute, value in endpoint.details_of_request(params).items():
        values[attribute.name] = value
    if (redact := call.scope.content.redact) is not None:
        _redact(values, redact)


def _redact(values: dict[str, Any], redact: Redact) -> None:
    """Redacts what is free text among the values. Names and ids are not: they are said so that calls are found."""
    for name, value in values.items():
        if name in _FREE or name.startswith(_METADATA):
            if isinstance(value, str):
                values[name] = redacted(value, redact)
            elif isinstance(value, list | tuple):
                values[name] = [redacted(str(item), redact) for item in value]


def _read_parameter(call: Invocation, name: str, value: Any) -> None:
    """A parameter, as the type the dictionary gives it. An iterator is the SDK's to run through, and not read."""
    endpoint = call.endpoint
    attribute = endpoint.parameters.get(name)
    if attribute is None:
        if name in endpoint.unrecorded or name in endpoint.content:
            return
        if isinstance(value, int | float):
            call.values[_PARAM + name] = value
        elif call.kept is not None:
            call.kept.value(_PARAM + name, value)
    elif attribute.kind != "string[]":
        call.values[attribute.name] = _COERCE[attribute.kind](value)
    elif isinstance(value, str | list | tuple):
        call.values[attribute.name] = [value] if isinstance(value, str) else [str(item) for item in value]


def read_content(call: Invocation, params: Params) -> None:
    """Keeps what is sent, now: a conversation may go on in the caller's own lists while the answer comes."""
    kept, endpoint = call.kept, call.endpoint
    if kept is None:
        return
    instructions, messages = call.sent
    said = [part for item in instructions for part in item["parts"]]
    if said:
        kept.parts(a.SYSTEM_INSTRUCTIONS.name, said)
    if messages:
        kept.messages(a.INPUT_MESSAGES.name, messages)
    definitions = endpoint.tool_definitions(params)
    if definitions:
        kept.definitions(a.TOOL_DEFINITIONS.name, definitions)
    for name, attribute in endpoint.content.items():
        if (value := params.get(name)) is not None:
            kept.value(attribute.name, value)
    if (completion := call.scope.completion) is not None and completion.wants(endpoint.operation):
        call.completed = {
            "inputs": completion.messages(messages),
            "system_instruction": completion.parts(said),
            "tool_definitions": completion.definitions(definitions or ()),
        }


def answered(call: Invocation) -> None:
    """Keeps what came back, and has all of it cut."""
    kept, endpoint = call.kept, call.endpoint
    if kept is None:
        return
    kept.answered()
    try:
        if call.output_messages:
            kept.messages(a.OUTPUT_MESSAGES.name, call.output_messages)
        if endpoint.result is not None and call.response is not None:
            kept.value(endpoint.result.name, endpoint.result_of(call.response))
        if (completion := call.scope.completion) is not None and completion.wants(endpoint.operation):
            call.completed.setdefault("outputs", completion.outputs(call.output_messages))
    finally:
        kept.done()
