-- One row a model call: every span that says it is one, by whichever instrumentation. The columns that derive from the
-- attribute dictionary are added when the collector starts, each with a DEFAULT over `attributes`, so that a line that
-- is new in the dictionary fills old rows too.

CREATE TABLE IF NOT EXISTS llm_calls
(
    trace_id String CODEC(ZSTD(1)) COMMENT 'Trace of the call, in hexadecimal.',
    span_id String CODEC(ZSTD(1)) COMMENT 'Span of the call, in hexadecimal.',
    parent_span_id String CODEC(ZSTD(1)) COMMENT 'Span that made the call; empty at the root.',
    span_name LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Name of the span.',
    start_time DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'When the call began.',
    end_time DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'When the answer was complete.',
    duration_s Float64 CODEC(ZSTD(1)) COMMENT 'Seconds from start to end.',
    status_code LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Unset, Ok or Error.',
    status_message String CODEC(ZSTD(1)) COMMENT 'What went wrong.',
    tenant_id LowCardinality(String) CODEC(ZSTD(1)),
    service_name LowCardinality(String) CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)) COMMENT 'Attributes of the span, without content.',
    resource_attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)) COMMENT 'Attributes of the process.',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)) COMMENT 'When the row was stored.',
    INDEX idx_trace_id trace_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(ingested_at)
PARTITION BY toYYYYMM(start_time)
ORDER BY (tenant_id, service_name, toStartOfHour(start_time), trace_id, span_id)
SETTINGS index_granularity = 8192, min_bytes_for_wide_part = 134217728, merge_selector_base = 10,
         non_replicated_deduplication_window = 10000,
         fsync_after_insert = 1, fsync_part_directory = 1;

-- What people wrote and models answered stays in otel_traces: the standard names, then those of other instrumentations.
-- An end after the last nanosecond that a DateTime64(9) has is that one; others may write rows from before 1970.
CREATE MATERIALIZED VIEW IF NOT EXISTS llm_calls_mv TO llm_calls AS
WITH toUInt64(toUnixTimestamp64Nano(Timestamp)) AS began
SELECT
    TraceId AS trace_id,
    SpanId AS span_id,
    ParentSpanId AS parent_span_id,
    SpanName AS span_name,
    Timestamp AS start_time,
    fromUnixTimestamp64Nano(toInt64(began + least(Duration, toUInt64(9223372036854775807 - began)))) AS end_time,
    Duration / 1e9 AS duration_s,
    StatusCode AS status_code,
    StatusMessage AS status_message,
    multiIf(TenantId != '', TenantId,
            SpanAttributes['otel_llm.tenant.id'] != '', SpanAttributes['otel_llm.tenant.id'],
            ResourceAttributes['otel_llm.tenant.id']) AS tenant_id,
    ServiceName AS service_name,
    mapFilter((k, v) -> NOT (
        k IN ('gen_ai.input.messages', 'gen_ai.output.messages', 'gen_ai.system_instructions',
              'gen_ai.tool.definitions', 'gen_ai.tool.call.arguments', 'gen_ai.tool.call.result',
              'gen_ai.retrieval.documents', 'gen_ai.retrieval.query.text', 'gen_ai.prompt', 'gen_ai.completion',
              'input.value', 'output.value', 'llm.prompts', 'llm.completions', 'llm.prompt_template.variables',
              'traceloop.entity.input', 'traceloop.entity.output', 'langfuse.observation.input',
              'langfuse.observation.output', 'gcp.vertex.agent.llm_request', 'gcp.vertex.agent.llm_response',
              'gcp.vertex.agent.tool_call_args', 'gcp.vertex.agent.tool_response', 'ai.prompt', 'ai.response.text')
        OR match(k, '^gen_ai\\.(prompt|completion)\\.\\d+\\.|^llm\\.(input|output)_messages\\.|^ai\\.prompt\\.')
    ), SpanAttributes) AS attributes,
    ResourceAttributes AS resource_attributes
FROM otel_traces
WHERE hasAny(mapKeys(SpanAttributes), ['gen_ai.operation.name', 'gen_ai.provider.name', 'gen_ai.system']);
