"""Google's endpoints for interactions with models and agents, and for what else its generated resources start."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from otel_llm import attributes as a
from otel_llm.messages import Message, message
from otel_llm.provider import Endpoint, Hook, Params, Sent, get
from otel_llm.providers import google_steps as s
from otel_llm.providers.google_interaction_streams import InteractionFold
from otel_llm.providers.google_shared import FREE, error_code, pair, word
from otel_llm.providers.google_usage import CACHED, INPUT, OUTPUT, split

if TYPE_CHECKING:
    from otel_llm.invocation import Invocation

_TRAVEL = frozenset({"extra_headers", "extra_query", "extra_body", "timeout", "api_version", "request", "stream"})
_USAGE: Mapping[a.Attribute, str | tuple[str, ...]] = {
    a.INPUT_TOKENS: ("usage.total_input_tokens", "usage.total_tool_use_tokens"),
    a.TOOL_USE_TOKENS: "usage.total_tool_use_tokens",
    a.OUTPUT_TOKENS: ("usage.total_output_tokens", "usage.total_thought_tokens"),
    a.REASONING_TOKENS: "usage.total_thought_tokens",
    a.CACHE_READ_TOKENS: "usage.total_cached_tokens",
    a.REPORTED_TOTAL_TOKENS: "usage.total_tokens",
}
_BY_MODALITY = (
    ("input_tokens_by_modality", INPUT),
    ("tool_use_tokens_by_modality", INPUT),
    ("output_tokens_by_modality", OUTPUT),
    ("cached_tokens_by_modality", CACHED),
)
_SAMPLING = {
    "temperature": a.TEMPERATURE,
    "top_p": a.TOP_P,
    "max_output_tokens": a.MAX_TOKENS,
    "seed": a.SEED,
    "stop_sequences": a.STOP_SEQUENCES,
}
_FORMS = {"text": "json", "audio": "speech", "image": "image", "video": "video"}


def _request(params: Params) -> Mapping[a.Attribute, Any]:
    fields = s.body(params)
    values: dict[a.Attribute, Any] = {}
    for name, attribute in (("model", a.REQUEST_MODEL), ("agent", a.AGENT_ID)):
        if isinstance(value := fields.get(name), str):
            values[attribute] = value
    if tier := fields.get("service_tier"):
        values[a.SERVICE_TIER_REQUESTED] = word(tier)
    if isinstance(previous := fields.get("previous_interaction_id"), str):
        values[a.PREVIOUS_RESPONSE_ID] = previous
    config = fields.get("generation_config")
    asked = config if isinstance(config, dict) else getattr(config, "__dict__", {})  # some of its fields warn when read
    for name, attribute in _SAMPLING.items():
        if (value := asked.get(name)) is not None:
            values[attribute] = value
    if level := asked.get("thinking_level"):
        values[a.REASONING_LEVEL] = word(level)
    format = fields.get("response_format")
    format = format[0] if isinstance(format, list) and format else format
    if format:
        kind = get(format, "type")
        values[a.OUTPUT_TYPE] = _FORMS.get(kind, "json") if isinstance(kind, str) else "json"
    return values


def _details(interaction: Any) -> Mapping[a.Attribute, Any]:
    values = _counts(interaction)
    if reason := s.finish_reason(interaction):
        values[a.FINISH_REASONS] = [reason]
    if tier := get(interaction, "service_tier"):
        values[a.SERVICE_TIER_GIVEN] = word(tier)
    errors = get(interaction, "errors")
    if (error := get(interaction, "error") or (errors[0] if errors else None)) is not None:
        values[a.ERROR_TYPE] = error_code(error)
    elif get(interaction, "status") == "failed":
        values[a.ERROR_TYPE] = "failed"
    return values


def _counts(answer: Any) -> dict[a.Attribute, Any]:
    """Tokens by modality, and searches, which are charged besides the tokens."""
    values: dict[a.Attribute, Any] = {}
    usage = get(answer, "usage")
    if usage is not None:
        for name, attributes in _BY_MODALITY:
            split(get(usage, name), attributes, values, "tokens")
        tools = {get(tool, "type"): get(tool, "count") for tool in get(usage, "grounding_tool_count") or ()}
        if any(tools.values()):
            values[a.COST_STATUS] = "partial"
            if searches := tools.get("google_search"):
                values[a.WEB_SEARCHES] = searches
    return values


def _unfinished(interaction: Any) -> str | None:
    return str(get(interaction, "id")) if get(interaction, "status") in ("queued", "in_progress") else None


def _named(params: Params) -> str | None:
    id = params.get("id")
    return id if isinstance(id, str) else None


_READ: dict[str, Any] = {
    "optional": True,
    "fold": InteractionFold,
    "paths": {a.RESPONSE_MODEL: "model", a.RESPONSE_ID: "id", a.RESPONSE_STATUS: "status", **_USAGE},
    "output_messages": s.output,
    "details": _details,
    "unfinished": _unfinished,
}
_FOLLOW: dict[str, Any] = {
    "positional": ("id",),
    "parameters": {"last_event_id": a.STREAM_CURSOR, "id": a.RESPONSE_ID},
    "constants": FREE,
    "follows": _named,
    **_READ,
}


def _of(module: str, resource: str) -> tuple[Endpoint, ...]:
    """The methods of interactions, which newer and older SDKs have in different places."""
    return (
        pair(
            module,
            f"{resource}.create",
            operation="generate_content",
            agent="agent",
            unrecorded=_TRAVEL
            | {"input", "system_instruction", "tools", "generation_config", "response_format", "service_tier", "agent",
               "previous_interaction_id", "agent_config", "safety_settings", "continuation_token"},
            messages=s.sent,
            tool_definitions=s.tool_definitions,
            details_of_request=_request,
            **_READ,
        ),
        pair(module, f"{resource}.get", operation="fetch_response", unrecorded=_TRAVEL | {"include_input"}, **_FOLLOW),
        pair(module, f"{resource}.cancel", operation="cancel_response", unrecorded=_TRAVEL, streamed=False, **_FOLLOW),
    )  # fmt: skip


def _continued(call: Invocation, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Generator[None, Any, None]:
    """A long interaction is made of several; where a later one fails, its error brings what the others made."""
    try:
        yield
    except Exception as error:
        if (made := getattr(error, "partial_interaction", None)) is not None:
            call.rounds.append(made)
        raise


HOOKS = (
    Hook(
        module="google.genai._interactions_continuation",
        function="continue_unary_interaction",
        async_function="continue_async_unary_interaction",
        around=_continued,
    ),
)

# Decisions, agents, voices, triggers ---------------------------------------------------------------------------------


def _questions(params: Params) -> Sent:
    """What is decided upon, and the questions."""
    found = s.messages(params.get("input"))
    questions = params.get("questions")
    if isinstance(questions, dict):
        asked = [{"type": "question", "name": str(name), "question": said} for name, said in questions.items()]
        found.append(message("user", asked))
    return Sent([], found)


def _answers(response: Any) -> list[Message]:
    answers = get(response, "answers")
    if not isinstance(answers, dict) or not answers:
        return []
    parts = [{"type": "decision", "name": str(name), "answer": answer} for name, answer in answers.items()]
    return [message("assistant", parts)]


def _decided(response: Any) -> Mapping[a.Attribute, Any]:
    values = _counts(response)
    if reason := get(get(response, "prompt_feedback"), "block_reason"):
        values[a.FINISH_REASONS] = ["content_filter"]
        values[a.BLOCK_REASON] = str(reason)
    return values


def _generated(resource: str, method: str, operation: str, **described: Any) -> Endpoint:
    return pair(
        "_gaos.google_genai",
        f"GeminiNextGen{resource}.{method}",
        operation=operation,
        optional=True,
        streamed=False,
        unrecorded=_TRAVEL | described.pop("unrecorded", frozenset()),
        **described,
    )


ENDPOINTS = (
    *_of("_gaos.google_genai", "GeminiNextGenInteractions"),
    *_of("_interactions.resources.interactions", "InteractionsResource"),
    _generated(
        "Decisions", "create", "decide",
        unrecorded=frozenset({"input", "questions"}), paths=_USAGE, messages=_questions, output_messages=_answers,
        details=_decided,
    ),
    _generated(
        "Agents", "create", "create_agent",
        subject="id", parameters={"id": a.AGENT_ID}, constants=FREE,
        unrecorded=frozenset({"system_instruction", "tools", "agent_config", "base_environment"}),
        paths={a.AGENT_ID: "id"}, messages=s.sent, tool_definitions=s.tool_definitions,
    ),
    _generated(
        "Voices", "create", "create_voice",
        unrecorded=frozenset({"voice"}), paths={a.RESPONSE_ID: "id", **_USAGE}, details=_counts,
    ),
    _generated(
        "Triggers", "run", "invoke_agent",
        positional=("trigger_id",), unrecorded=frozenset({"trigger_id"}),
        paths={a.RESPONSE_ID: "interaction_id", a.RESPONSE_STATUS: "status"},
        unfinished=lambda run: get(run, "interaction_id") if get(run, "status") == "in_progress" else None,
    ),
)  # fmt: skip
