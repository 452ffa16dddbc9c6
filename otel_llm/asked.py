"""What a call asks for, and what it is answered: its parameters, by the endpoint's table, and its content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm import attributes as a
from otel_llm.config import fault
from otel_llm.content import DEFINITIONS, MESSAGES, PARTS
from otel_llm.context import current
from otel_llm.messages import Part
from otel_llm.provider import Params
from otel_llm.redaction import Redact, redacted

if TYPE_CHECKING:
    from otel_llm.content import Kept
    from otel_llm.invocation import Invocation

_STREAM, _PARAM, _METADATA = a.STREAM.name, a.REQUEST_PARAM.name, a.METADATA.name
_INSTRUCTIONS, _SENT, _TOOLS = a.SYSTEM_INSTRUCTIONS.name, a.INPUT_MESSAGES.name, a.TOOL_DEFINITIONS.name
_CAME = a.OUTPUT_MESSAGES.name

#: What is no parameter of the endpoint's table.
_OTHER = (_PARAM, None)

#: Attributes that are there whatever is captured, and are free text all the same.
_FREE = frozenset({a.STOP_SEQUENCES.name, a.TAGS.name, a.TOOL_DESCRIPTION.name})


def read_parameters(call: Invocation, params: Params) -> None:
    """Puts what the application said, constants and parameters among the call's values.

    A parameter becomes the type that the dictionary gives it. An iterator is the SDK's to run through, and not read.
    """
    endpoint, values = call.endpoint, call.values
    values.update(current())
    values.update(endpoint.fixed)
    if call.streaming:
        values[_STREAM] = True
    fields = endpoint.fields
    for name, value in params.items():
        try:
            field = fields.get(name, _OTHER)
            if field is None:  # it is told otherwise
                continue
            attribute, kind = field
            if kind is list:
                if isinstance(value, str | list | tuple):
                    values[attribute] = [value] if isinstance(value, str) else [str(item) for item in value]
            elif type(value) is kind:
                values[attribute] = value
            elif kind is not None:
                values[attribute] = kind(value)
            elif isinstance(value, int | float):
                values[attribute + name] = value
            elif call.kept is not None:
                call.kept.value(attribute + name, value)
        except Exception:
            fault(f"the value of {name}")
    for more, value in endpoint.details_of_request(params).items():
        values[more.name] = value
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


def read_content(call: Invocation, kept: Kept, params: Params) -> None:
    """Keeps what is sent, now: a conversation may go on in the caller's own lists while the answer comes."""
    endpoint = call.endpoint
    instructions, messages = call.sent
    said: list[Part] = []
    for item in instructions:
        said += item["parts"]
    if said:
        kept.keep(_INSTRUCTIONS, said, PARTS)
    if messages:
        kept.keep(_SENT, messages, MESSAGES)
    definitions = endpoint.tool_definitions(params)
    if definitions:
        kept.keep(_TOOLS, definitions, DEFINITIONS)
    for name, attribute in endpoint.content.items():
        if (value := params.get(name)) is not None:
            kept.value(attribute.name, value)
    if (completion := call.scope.completion) is not None and completion.wants(endpoint.operation):
        call.completed = {
            "inputs": completion.messages(messages),
            "system_instruction": completion.parts(said),
            "tool_definitions": completion.definitions(definitions or ()),
        }


def answered(call: Invocation, kept: Kept) -> None:
    """Keeps what came back, and has all of it cut."""
    endpoint = call.endpoint
    kept.answered()
    try:
        if messages := call.output_messages:
            kept.keep(_CAME, messages, MESSAGES)
        if endpoint.result is not None and call.response is not None:
            kept.value(endpoint.result.name, endpoint.result_of(call.response))
        if (completion := call.scope.completion) is not None and completion.wants(endpoint.operation):
            call.completed.setdefault("outputs", completion.outputs(messages))
    finally:
        kept.done()
