-- title: Cost and latency by prompt
-- about: What each prompt version cost, how much it read and wrote, and how long it took.
-- parameter since DateTime64(9): calls that began at or after this time, UTC
-- parameter services Array(String): calls of these services; an empty list is all
SELECT
    prompt_name,
    prompt_version,
    arrayStringConcat(arraySort(groupUniqArray(request_model)), ', ') AS models,
    count() AS calls,
    countIf(status_code = 'Error') AS errors,
    countIf(guardrail_blocked) AS blocked,
    countIf(cost_status = 'unpriced') AS unpriced,
    sum(ifNull(input_tokens, 0)) AS input_tokens,
    sum(ifNull(output_tokens, 0)) AS output_tokens,
    sum(cost_total) AS cost_total,
    quantile(0.5)(duration_s) AS p50_s,
    quantile(0.95)(duration_s) AS p95_s
FROM llm_calls
WHERE start_time >= {since:DateTime64(9)}
  AND (empty({services:Array(String)}) OR has({services:Array(String)}, service_name))
GROUP BY prompt_name, prompt_version
ORDER BY cost_total DESC, prompt_name, prompt_version
