-- title: Spans of traces
-- about: Every span of some traces in the order in which they began, model calls with their model, tokens and cost.
-- parameter trace_ids Array(String): whole trace ids, hexadecimal digits in lower case
SELECT
    spans.TraceId AS trace_id,
    spans.SpanId AS span_id,
    spans.ParentSpanId AS parent_span_id,
    spans.SpanName AS span_name,
    spans.SpanKind AS span_kind,
    spans.ServiceName AS service_name,
    spans.Timestamp AS start_time,
    spans.Duration / 1e9 AS duration_s,
    spans.StatusCode AS status_code,
    spans.StatusMessage AS status_message,
    calls.provider AS provider,
    calls.request_model AS request_model,
    calls.response_model AS response_model,
    calls.prompt_name AS prompt_name,
    calls.prompt_version AS prompt_version,
    calls.input_tokens AS input_tokens,
    calls.output_tokens AS output_tokens,
    calls.cost_total AS cost_total,
    calls.cost_status AS cost_status,
    calls.guardrail_outcome AS guardrail_outcome,
    calls.is_stream AS is_stream,
    calls.error_type AS error_type
FROM otel_traces AS spans
LEFT ANY JOIN
(
    SELECT * FROM llm_calls WHERE has({trace_ids:Array(String)}, trace_id)
) AS calls
    -- ids of spans may come twice: one that was sent again is two rows, as in llm_calls, and not four
    ON calls.trace_id = spans.TraceId AND calls.span_id = spans.SpanId
    AND calls.start_time = spans.Timestamp AND calls.service_name = spans.ServiceName
WHERE has({trace_ids:Array(String)}, spans.TraceId)
  AND spans.Timestamp >= (
      SELECT min(Start) FROM otel_traces_trace_id_ts WHERE has({trace_ids:Array(String)}, TraceId))
  AND spans.Timestamp <= (
      SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE has({trace_ids:Array(String)}, TraceId))
ORDER BY start_time, span_id
