-- title: Cost and latency by prompt
-- about: What each prompt version cost, how much it read and wrote, and how long it took.
-- parameter since DateTime64(9): calls that began at or after this time, UTC
-- parameter services Array(String): calls of these services; an empty list is all
SELECT
    prompt_name,
    prompt_version,
    arrayStringConcat(arraySort(groupUniqArray(request_model)), ', ') AS models,
    -- include call_counts
    sum(c.cost_total) AS cost_total,
    quantile(0.5)(duration_s) AS p50_s,
    quantile(0.95)(duration_s) AS p95_s
FROM llm_calls AS c
WHERE start_time >= {since:DateTime64(9)}
  AND (empty({services:Array(String)}) OR has({services:Array(String)}, service_name))
GROUP BY prompt_name, prompt_version
ORDER BY cost_total DESC, prompt_name, prompt_version
