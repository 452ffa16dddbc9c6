-- title: Costs of traces
-- about: What the calls of some traces cost and read and wrote, by service, prompt and user.
-- parameter trace_ids Array(String): whole trace ids, hexadecimal digits in lower case
SELECT
    service_name,
    prompt_name,
    prompt_version,
    user_id,
    -- include call_counts
    sum(c.cost_total) AS cost_total
FROM llm_calls AS c
WHERE has({trace_ids:Array(String)}, trace_id)
GROUP BY service_name, prompt_name, prompt_version, user_id
ORDER BY cost_total DESC, service_name, prompt_name, prompt_version, user_id
