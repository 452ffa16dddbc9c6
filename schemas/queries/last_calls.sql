-- title: Last calls
-- about: The newest model calls, each with its prompt, model, tokens, cost, latency and guardrails.
-- parameter since DateTime64(9): calls that began at or after this time, UTC
-- parameter services Array(String): calls of these services; an empty list is all
-- parameter trace_ids Array(String): calls of these traces, by their whole ids; an empty list is all
-- parameter limit UInt32: at most so many
SELECT * EXCEPT (attributes, resource_attributes, ingested_at)
FROM llm_calls
WHERE start_time >= {since:DateTime64(9)}
  AND (empty({services:Array(String)}) OR has({services:Array(String)}, service_name))
  AND (empty({trace_ids:Array(String)}) OR has({trace_ids:Array(String)}, trace_id))
ORDER BY start_time DESC, span_id
LIMIT {limit:UInt32}
