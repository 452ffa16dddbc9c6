-- title: Log lines of traces
-- about: Log records that were written in some traces, in order of time, from an hour before their spans to one after.
-- parameter trace_ids Array(String): whole trace ids, hexadecimal digits in lower case
-- parameter limit UInt32: at most so many
SELECT
    TraceId AS trace_id,
    SpanId AS span_id,
    Timestamp AS time,
    ServiceName AS service_name,
    SeverityText AS severity,
    SeverityNumber AS severity_number,
    EventName AS event_name,
    Body AS body,
    LogAttributes AS attributes
FROM otel_logs
WHERE has({trace_ids:Array(String)}, TraceId)
  AND Timestamp >= (
      SELECT min(Start) - INTERVAL 1 HOUR FROM otel_traces_trace_id_ts WHERE has({trace_ids:Array(String)}, TraceId))
  AND Timestamp <= (
      SELECT max(End) + INTERVAL 1 HOUR FROM otel_traces_trace_id_ts WHERE has({trace_ids:Array(String)}, TraceId))
ORDER BY time, service_name, span_id
LIMIT {limit:UInt32}
