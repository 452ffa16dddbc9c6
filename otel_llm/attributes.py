"""The attribute dictionary: every name a call may carry, once.

Span attribute names, the types that values are coerced to, the columns of ``llm_calls`` with their comments, and
``docs/attributes.md`` all derive from :data:`DICTIONARY`. Adding a line adds a column; changing or removing one is a
numbered migration, by hand.

Names below ``gen_ai.`` are those of the OpenTelemetry GenAI semantic conventions (all of stability *development*);
what has no standard name lives below ``otel_llm.``.
"""

from __future__ import annotations

from collections.abc import Iterator

from otel_llm.attribute import COUNT, INTEGER, LC, LC_ARRAY, MONEY, RATIO
from otel_llm.attribute import Attribute as Attribute
from otel_llm.attribute import own as _own

# fmt: off
# What was called -------------------------------------------------------------------------------------------------
OPERATION = Attribute(
    "gen_ai.operation.name", "string", "What was asked for: chat, generate_content, embeddings and so on.",
    "operation", LC, label=True)
CALL_TYPE = _own(
    "call.type", "string", "What the application used the call for: chat, rag_query, summarization and so on.",
    "call_type", LC, label=True)
PROVIDER = Attribute(
    "gen_ai.provider.name", "string", "Who answered: openai, gcp.gemini, gcp.vertex_ai and so on.",
    "provider", LC, label=True, aliases=("gen_ai.system",))
REQUEST_MODEL = Attribute(
    "gen_ai.request.model", "string", "The model that was asked for.", "request_model", LC, label=True,
    aliases=("llm.model_name",))
RESPONSE_MODEL = Attribute(
    "gen_ai.response.model", "string", "The model that answered.", "response_model", LC, label=True)
RESPONSE_ID = Attribute("gen_ai.response.id", "string", "The provider's id of the answer.", "response_id", "String")
PREVIOUS_RESPONSE_ID = Attribute(
    "gen_ai.request.previous_response.id", "string", "The answer that this request continues.",
    "previous_response_id", "String")
RESPONSE_STATUS = Attribute(
    "gen_ai.response.status", "string", "How the provider says the answer stands: completed, incomplete, failed.",
    "response_status", LC)
FINISH_REASONS = Attribute(
    "gen_ai.response.finish_reasons", "string[]", "Why the model stopped, one entry for each choice.",
    "finish_reasons", LC_ARRAY)
SERVER_ADDRESS = Attribute(
    "server.address", "string", "Host that the request went to.", "server_address", LC, "stable", label=True)
SERVER_PORT = Attribute(
    "server.port", "int", "Port that the request went to.", "server_port", "UInt16", "stable", label=True)
UPSTREAM_PROVIDER = _own(
    "upstream.provider", "string", "Who answered behind a router such as OpenRouter, in the router's word.",
    "upstream_provider", LC)
API_TYPE = Attribute(
    "openai.api.type", "string", "OpenAI's API: chat_completions, responses or realtime.", "openai_api_type", LC)
REQUEST_SERVICE_TIER = Attribute(
    "openai.request.service_tier", "string", "Service tier that was asked for.", "request_service_tier", LC)
RESPONSE_SERVICE_TIER = Attribute(
    "openai.response.service_tier", "string", "Service tier that was given.", "response_service_tier", LC)
SYSTEM_FINGERPRINT = Attribute(
    "openai.response.system_fingerprint", "string", "The provider's fingerprint of the serving configuration.",
    "system_fingerprint", LC)

SERVICE_TIER_REQUESTED = _own(
    "service_tier.requested", "string", "Service tier that another provider than OpenAI was asked for: flex, priority.",
    "service_tier_requested", LC)
SERVICE_TIER_GIVEN = _own(
    "service_tier.given", "string", "Service tier or kind of traffic that served the call, in the provider's word.",
    "service_tier_given", LC)
BLOCK_REASON = _own(
    "block_reason", "string", "Why the provider refused the prompt or cut off the answer, in its own word.",
    "block_reason", LC)
CACHED_CONTENT = _own(
    "cached_content.name", "string", "The provider's cache entry that was read, or made.", "cached_content", "String")

# How it was asked ------------------------------------------------------------------------------------------------
TEMPERATURE = Attribute("gen_ai.request.temperature", "double", "Sampling temperature.", "temperature", RATIO)
TOP_P = Attribute("gen_ai.request.top_p", "double", "Nucleus sampling mass.", "top_p", RATIO)
TOP_K = Attribute("gen_ai.request.top_k", "int", "Number of candidates sampled from.", "top_k", INTEGER)
FREQUENCY_PENALTY = Attribute(
    "gen_ai.request.frequency_penalty", "double", "Penalty for frequent tokens.", "frequency_penalty", RATIO)
PRESENCE_PENALTY = Attribute(
    "gen_ai.request.presence_penalty", "double", "Penalty for tokens already present.", "presence_penalty", RATIO)
MAX_TOKENS = Attribute("gen_ai.request.max_tokens", "int", "Most tokens that may be generated.", "max_tokens", INTEGER)
SEED = Attribute("gen_ai.request.seed", "int", "Seed for reproducible sampling.", "seed", INTEGER)
CHOICE_COUNT = Attribute(
    "gen_ai.request.choice.count", "int", "Number of answers asked for, when not one.", "choice_count", INTEGER)
STOP_SEQUENCES = Attribute(
    "gen_ai.request.stop_sequences", "string[]", "Texts that end generation.", "stop_sequences", "Array(String)")
OUTPUT_TYPE = Attribute(
    "gen_ai.output.type", "string", "Form asked for: text, json, image or speech.", "output_type", LC)
REASONING_LEVEL = Attribute(
    "gen_ai.request.reasoning.level", "string", "Reasoning effort asked for, as sent.", "reasoning_level", LC)
ENCODING_FORMATS = Attribute(
    "gen_ai.request.encoding_formats", "string[]", "Encodings asked for.", "encoding_formats", LC_ARRAY)
DIMENSION_COUNT = Attribute(
    "gen_ai.embeddings.dimension.count", "int", "Dimensions of the embedding.", "dimension_count", "Nullable(UInt32)")
REQUEST_PARAM = _own(
    "request.", "map", "Any other request parameter, by its name in the SDK.", "request_params",
    "Map(LowCardinality(String), String)", content=True)
STREAM = Attribute("gen_ai.request.stream", "bool", "Set when the answer was streamed.", "is_stream", "Bool")
STREAM_CURSOR = Attribute(
    "gen_ai.request.stream_cursor", "string", "The event after which a stream was taken up again.", "stream_cursor",
    "String")
STREAM_OUTCOME = _own(
    "stream.outcome", "string", "How a stream ended: completed, closed_early, abandoned, cancelled or error.",
    "stream_outcome", LC)
STREAM_CHUNKS = _own("stream.chunks", "int", "Chunks that came before a stream ended.", "stream_chunks", INTEGER)
TIME_PER_OUTPUT_CHUNK = _own(
    "stream.time_per_output_chunk", "double", "Mean seconds from one chunk to the next.", "time_per_chunk_s", RATIO)
TIME_TO_FIRST_CHUNK = Attribute(
    "gen_ai.response.time_to_first_chunk", "double", "Seconds from the request to the first chunk.", "ttfc_s", RATIO)

WORK_SECONDS = _own(
    "work.duration", "double",
    "Seconds from the call that began a background response, a video or a batch until it was found finished.",
    "work_s", RATIO)

# Tokens ----------------------------------------------------------------------------------------------------------
INPUT_TOKENS = Attribute(
    "gen_ai.usage.input_tokens", "int", "All input tokens, cached and tool-use ones included.", "input_tokens", COUNT,
    aliases=("gen_ai.usage.prompt_tokens", "llm.token_count.prompt"))
OUTPUT_TOKENS = Attribute(
    "gen_ai.usage.output_tokens", "int", "All output tokens, reasoning included.", "output_tokens", COUNT,
    aliases=("gen_ai.usage.completion_tokens", "llm.token_count.completion"))
CACHE_READ_TOKENS = Attribute(
    "gen_ai.usage.cache_read.input_tokens", "int", "Input tokens read from the provider's cache.",
    "cache_read_tokens", COUNT)
CACHE_WRITE_TOKENS = Attribute(
    "gen_ai.usage.cache_write.input_tokens", "int", "Input tokens written to the provider's cache.",
    "cache_write_tokens", COUNT, aliases=("gen_ai.usage.cache_creation.input_tokens",))
REASONING_TOKENS = Attribute(
    "gen_ai.usage.reasoning.output_tokens", "int", "Output tokens spent on thinking.", "reasoning_tokens", COUNT,
    aliases=("gen_ai.usage.reasoning_tokens",))
TOOL_USE_TOKENS = _own(
    "usage.tool_use.input_tokens", "int", "Input tokens of tool results (Gemini), part of the input.",
    "tool_use_tokens", COUNT)
TEXT_INPUT_TOKENS = Attribute(
    "gen_ai.usage.text.input_tokens", "int", "Input tokens that were text.", "text_input_tokens", COUNT)
IMAGE_INPUT_TOKENS = Attribute(
    "gen_ai.usage.image.input_tokens", "int", "Input tokens that were images.", "image_input_tokens", COUNT)
AUDIO_INPUT_TOKENS = Attribute(
    "gen_ai.usage.audio.input_tokens", "int", "Input tokens that were audio.", "audio_input_tokens", COUNT)
VIDEO_INPUT_TOKENS = _own(
    "usage.video.input_tokens", "int", "Input tokens that were video.", "video_input_tokens", COUNT)
DOCUMENT_INPUT_TOKENS = _own(
    "usage.document.input_tokens", "int", "Input tokens that were documents.", "document_input_tokens", COUNT)
TEXT_OUTPUT_TOKENS = Attribute(
    "gen_ai.usage.text.output_tokens", "int", "Output tokens that were text.", "text_output_tokens", COUNT)
IMAGE_OUTPUT_TOKENS = Attribute(
    "gen_ai.usage.image.output_tokens", "int", "Output tokens that were images.", "image_output_tokens", COUNT)
AUDIO_OUTPUT_TOKENS = Attribute(
    "gen_ai.usage.audio.output_tokens", "int", "Output tokens that were audio.", "audio_output_tokens", COUNT)
TEXT_CACHE_READ_TOKENS = Attribute(
    "gen_ai.usage.text.cache_read.input_tokens", "int", "Cached input tokens that were text.",
    "text_cache_read_tokens", COUNT)
IMAGE_CACHE_READ_TOKENS = Attribute(
    "gen_ai.usage.image.cache_read.input_tokens", "int", "Cached input tokens that were images.",
    "image_cache_read_tokens", COUNT)
AUDIO_CACHE_READ_TOKENS = Attribute(
    "gen_ai.usage.audio.cache_read.input_tokens", "int", "Cached input tokens that were audio.",
    "audio_cache_read_tokens", COUNT)
REPORTED_TOTAL_TOKENS = _own(
    "usage.reported_total_tokens", "int", "The total as the provider said it.", "reported_total_tokens", COUNT)
IMAGES = _own("usage.images", "int", "Images that were made.", "images", COUNT)
VIDEOS = _own("usage.videos", "int", "Videos that were made.", "videos", COUNT)
CHARACTERS = _own(
    "usage.characters", "int", "Characters that were spoken, or embedded where they are what is billed.", "characters",
    COUNT)
AUDIO_SECONDS = _own(
    "usage.audio_seconds", "double", "Seconds of audio that were heard, where they are what is billed.",
    "audio_seconds", RATIO)
VIDEO_SECONDS = _own("usage.video_seconds", "int", "Seconds of video that were made.", "video_seconds", COUNT)
WEB_SEARCHES = _own("usage.web_searches", "int", "Searches of the web that the provider made.", "web_searches", COUNT)
COUNTED_TOKENS = _own(
    "counted_tokens", "int", "Tokens of a request that was only counted, and not answered.", "counted_tokens", COUNT)
BATCH_REQUESTS = _own("batch.requests", "int", "Requests in a batch.", "batch_requests", COUNT)
BATCH_FAILED = _own("batch.failed_requests", "int", "Requests of a batch that failed.", "batch_failed_requests", COUNT)

# Money -----------------------------------------------------------------------------------------------------------
COST_TOTAL = _own(
    "cost.total", "double", "What the call cost; absent when it could not be priced.", "cost_total", MONEY,
    aliases=("gen_ai.usage.cost.amount", "gen_ai.usage.cost", "operation.cost", "llm.cost.total"))
COST_INPUT = _own("cost.input", "double", "Cost of uncached input.", "cost_input", MONEY)
COST_OUTPUT = _own("cost.output", "double", "Cost of output.", "cost_output", MONEY)
COST_CACHED = _own("cost.cached", "double", "Cost of input read from a cache.", "cost_cached", MONEY)
COST_CACHE_WRITE = _own("cost.cache_write", "double", "Cost of writing to a cache.", "cost_cache_write", MONEY)
COST_SAVED = _own(
    "cost.saved", "double", "What a response answered from our cache would have cost.", "cost_saved", MONEY)
COST_CURRENCY = _own("cost.currency", "string", "ISO 4217 code of the cost.", "cost_currency", LC)
COST_SOURCE = _own("cost.source", "string", "Who worked the cost out: provider or local.", "cost_source", LC)
PRICE_VERSION = _own("cost.price_version", "string", "The price table that was used.", "price_version", LC)
COST_STATUS = _own(
    "cost.status", "string",
    "Whether the call could be priced: priced, partial, unpriced, or free, where nothing is charged for such a call.",
    "cost_status", LC)

# Prompt and experiment -------------------------------------------------------------------------------------------
PROMPT_NAME = Attribute(
    "gen_ai.prompt.name", "string", "Name of the prompt template that the request came from.", "prompt_name", LC,
    label=True, aliases=("traceloop.prompt.key", "langfuse.observation.prompt.name"))
PROMPT_VERSION = Attribute(
    "gen_ai.prompt.version", "string", "Version of that template.", "prompt_version", LC, label=True,
    aliases=("traceloop.prompt.version", "llm.prompt_template.version", "langfuse.observation.prompt.version"))
PROMPT_ID = _own("prompt.id", "string", "Registry id of the prompt version.", "prompt_id", LC)
PROMPT_SOURCE = _own(
    "prompt.source", "string", "Where the template was found: registry, file or inline.", "prompt_source", LC)
TEMPLATE_HASH = _own(
    "prompt.template_hash", "string", "SHA-256 of the template text, in hexadecimal.", "template_hash", "String")
VARIABLES_HASH = _own(
    "prompt.variables_hash", "string", "SHA-256 of the variables as canonical JSON, in hexadecimal.",
    "variables_hash", "String")
PROMPT_VARIABLE = Attribute(
    "gen_ai.prompt.variable.", "map", "Variables that the template was filled with.", "prompt_variables",
    "Map(LowCardinality(String), String)", content=True)
EXPERIMENT_ID = _own("experiment.id", "string", "Experiment that the call took part in.", "experiment_id", LC)
VARIANT = _own("experiment.variant", "string", "Variant that the experiment chose.", "variant", LC, label=True)

# Guardrails ------------------------------------------------------------------------------------------------------
GUARDRAIL_OUTCOME = _own(
    "guardrail.outcome", "string", "All guardrails together: passed, violated, blocked, modified, error or skipped.",
    "guardrail_outcome", LC, label=True)
GUARDRAIL_BLOCKED = _own(
    "guardrail.blocked", "bool", "Set when a guardrail refused the call or its answer.", "guardrail_blocked", "Bool")
VIOLATED_RULES = _own(
    "guardrail.violated_rules", "string[]", "Names of the rules that were violated.", "violated_rules", LC_ARRAY)
GUARDRAIL_COUNT = _own("guardrail.count", "int", "Number of rules that were checked.", "guardrail_count", "UInt16")
GUARDRAIL_RESULTS = _own(
    "guardrail.results", "string",
    "One JSON object for each violated rule: rule, type, severity, stage, action, reason, count.",
    "guardrail_results", "String")
MODERATION_FLAGGED = _own(
    "moderation.flagged", "bool", "Whether the provider's moderation flagged what it was shown.",
    "moderation_flagged", "Nullable(Bool)")
MODERATION_CATEGORIES = _own(
    "moderation.categories", "string[]", "Categories that it flagged.", "moderation_categories", LC_ARRAY)

# Who and what for ------------------------------------------------------------------------------------------------
USER_ID = Attribute("user.id", "string", "The application's user.", "user_id", "String", aliases=("gen_ai.user.id",))
SESSION_ID = Attribute(
    "session.id", "string", "The user's session.", "session_id", "String", aliases=("gen_ai.session.id",))
CONVERSATION_ID = Attribute(
    "gen_ai.conversation.id", "string", "The conversation, as the application names it.", "conversation_id", "String")
CONVERSATION_COMPACTED = Attribute(
    "gen_ai.conversation.compacted", "bool", "Set when the provider compacted the conversation.",
    "conversation_compacted", "Bool")
TASK_ID = _own("task.id", "string", "The background job or task.", "task_id", "String")
TENANT_ID = _own("tenant.id", "string", "The customer or company on whose behalf.", "tenant_id", LC)
REQUEST_ID = _own("request.id", "string", "The application's id of the incoming request.", "request_id", "String")
PROVIDER_REQUEST_ID = _own(
    "provider.request_id", "string", "The provider's id of the HTTP request.", "provider_request_id", "String")
CALL_ID = _own("call.id", "string", "Handle of the call, for outcomes and corrections.", "call_id", "String")
PARENT_CALL_ID = _own(
    "parent_call.id", "string", "Handle of the call that led to this one.", "parent_call_id", "String")
AGENT_NAME = Attribute("gen_ai.agent.name", "string", "The agent that made the call.", "agent_name", LC)
AGENT_ID = Attribute("gen_ai.agent.id", "string", "The provider's id of the agent that was asked.", "agent_id", LC)
WORKFLOW_NAME = Attribute("gen_ai.workflow.name", "string", "The workflow that it is part of.", "workflow_name", LC)
TOOL_NAME = Attribute("gen_ai.tool.name", "string", "The tool that was run.", "tool_name", LC)
TOOL_CALL_ID = Attribute("gen_ai.tool.call.id", "string", "The model's id of the tool call.", "tool_call_id", "String")
TOOL_DESCRIPTION = Attribute("gen_ai.tool.description", "string", "What the model is told the tool does.")
TOOL_TYPE = Attribute("gen_ai.tool.type", "string", "Kind: function, extension or datastore.", "tool_type", LC)
DATA_SOURCE_ID = Attribute(
    "gen_ai.data_source.id", "string", "The data source that was searched.", "data_source_id", LC)
RETRIEVAL_TOP_K = Attribute(
    "gen_ai.retrieval.top_k", "int", "Documents asked for.", "retrieval_top_k", "Nullable(UInt32)")
TAGS = _own("tags", "string[]", "Free labels.", "tags", LC_ARRAY)
METADATA = _own("metadata.", "map", "Free keys and values.", "metadata", "Map(LowCardinality(String), String)")
INTENT = _own("intent.name", "string", "Intent that the application took from the answer.", "intent", LC)
INTENT_CONFIDENCE = _own(
    "intent.confidence", "double", "Confidence in that intent, 0 to 1.", "intent_confidence", "Nullable(Float32)")

# How it went -----------------------------------------------------------------------------------------------------
RETRY_COUNT = _own("retry.count", "int", "Times that the SDK sent the request again.", "retry_count", "UInt8")
CACHE_HIT = _own("response_cache.hit", "bool", "Set when our cache answered.", "cache_hit", "Bool")
CACHE_TYPE = _own("response_cache.type", "string", "How it matched: exact or semantic.", "cache_type", LC)
ERROR_TYPE = Attribute(
    "error.type", "string", "Class of the error, absent on success.", "error_type", LC, "stable", label=True)
WAS_SUCCESSFUL = _own(
    "outcome.was_successful", "bool", "What came of the call, where it was known in time.",
    "was_successful", "Nullable(Bool)")
SCHEMA_VERSION = _own("schema.version", "string", "Version of this dictionary; an attribute of the scope.")

# Content: captured only when asked for, kept in the span and out of llm_calls --------------------------------------
INPUT_MESSAGES = Attribute("gen_ai.input.messages", "string", "The messages that were sent, as JSON.", content=True)
OUTPUT_MESSAGES = Attribute("gen_ai.output.messages", "string", "The messages that came back, as JSON.", content=True)
SYSTEM_INSTRUCTIONS = Attribute(
    "gen_ai.system_instructions", "string", "The system instructions, as JSON.", content=True)
TOOL_DEFINITIONS = Attribute("gen_ai.tool.definitions", "string", "The tools that were offered, as JSON.", content=True)
TOOL_ARGUMENTS = Attribute("gen_ai.tool.call.arguments", "string", "What a tool was given, as JSON.", content=True)
TOOL_RESULT = Attribute("gen_ai.tool.call.result", "string", "What a tool gave back, as JSON.", content=True)

RETRIEVAL_QUERY = Attribute("gen_ai.retrieval.query.text", "string", "What was searched for.", content=True)
RETRIEVAL_DOCUMENTS = Attribute("gen_ai.retrieval.documents", "string", "What was found, as JSON.", content=True)
INPUT_MESSAGES_REF = Attribute(
    "gen_ai.input.messages_ref", "string", "Where the messages that were sent are stored, when not on the span.")
OUTPUT_MESSAGES_REF = Attribute(
    "gen_ai.output.messages_ref", "string", "Where the messages that came back are stored.")
SYSTEM_INSTRUCTIONS_REF = Attribute(
    "gen_ai.system_instructions_ref", "string", "Where the system instructions are stored.")
TOOL_DEFINITIONS_REF = Attribute("gen_ai.tool.definitions_ref", "string", "Where the tool definitions are stored.")
CONTENT_TRUNCATED = _own(
    "content.truncated", "bool", "Set when content was longer than may be kept, and was cut.",
    "content_truncated", "Bool")

# Resource --------------------------------------------------------------------------------------------------------
SERVICE_NAME = Attribute(
    "service.name", "string", "The service that made the call.", "service_name", LC, "stable", resource=True)
SERVICE_VERSION = Attribute(
    "service.version", "string", "Version of that service.", "service_version", LC, "stable", resource=True)
ENVIRONMENT = Attribute(
    "deployment.environment.name", "string", "Where it runs: production, staging and so on.", "environment", LC,
    "stable", resource=True, aliases=("deployment.environment",))

# fmt: on
DICTIONARY: tuple[Attribute, ...] = tuple(v for v in list(globals().values()) if isinstance(v, Attribute))
BY_NAME: dict[str, Attribute] = {attribute.name: attribute for attribute in DICTIONARY}

#: Token counts, by name.
USAGE = frozenset(attribute.name for attribute in DICTIONARY if attribute.kind == "int" and ".usage." in attribute.name)

#: Version of the dictionary, sent as a scope attribute with every span.
VERSION = "1"

#: The ten kinds of call that an application tells apart (``otel_llm.call.type``).
CALL_TYPES: tuple[str, ...] = (
    "chat", "rag_query", "rag_synthesis", "sentiment_analysis", "summarization",
    "embedding", "classification", "extraction", "system", "other",
)  # fmt: skip


#: Columns of ``llm_calls`` that are written with the row, because people filter, group and sum by them. The others are
#: worked out when they are read: a column costs the same to write whether it holds something or not.
STORED = frozenset({
    OPERATION, CALL_TYPE, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, RESPONSE_ID, STREAM, TIME_TO_FIRST_CHUNK,
    INPUT_TOKENS, OUTPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, REASONING_TOKENS, COST_TOTAL, COST_STATUS,
    PROMPT_NAME, PROMPT_VERSION, EXPERIMENT_ID, VARIANT, GUARDRAIL_OUTCOME, GUARDRAIL_BLOCKED, USER_ID, SESSION_ID,
    CONVERSATION_ID, AGENT_NAME, WORKFLOW_NAME, TOOL_NAME, RETRY_COUNT, CACHE_HIT, ERROR_TYPE, ENVIRONMENT,
})  # fmt: skip


def columns() -> Iterator[Attribute]:
    """The attributes that have a column of ``llm_calls``, in the dictionary's order."""
    return (attribute for attribute in DICTIONARY if attribute.column)
