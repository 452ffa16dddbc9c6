-- The traces with a span that meets every condition and began between two times, both included, newest first.
SELECT TraceId AS trace_id, max(Timestamp) AS newest
FROM otel_traces
WHERE length(TraceId) = 32
  AND Timestamp >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
  AND Timestamp <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
  -- conditions
GROUP BY trace_id
ORDER BY newest DESC, trace_id
LIMIT {traces:UInt32}
