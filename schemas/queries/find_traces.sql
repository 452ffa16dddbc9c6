-- title: Traces by the beginning of their id
-- about: The ids of the traces that begin with a prefix, three at most.
-- parameter prefix String: hexadecimal digits in lower case
SELECT DISTINCT TraceId AS trace_id
FROM otel_traces_trace_id_ts
WHERE startsWith(TraceId, {prefix:String})
ORDER BY trace_id
LIMIT 3
