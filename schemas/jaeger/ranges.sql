-- When some traces began and when their last span began, in Unix seconds, the second rounded up.
SELECT TraceId AS trace_id, toUnixTimestamp(min(Start)) AS start, toUnixTimestamp(max(End)) + 1 AS end
FROM otel_traces_trace_id_ts
WHERE TraceId IN {trace_ids:Array(String)}
GROUP BY trace_id
