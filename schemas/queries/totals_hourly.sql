-- title: Totals by the hourly sums
-- about: The same totals from the hourly sums, which must agree with those added up call by call.
-- parameter services Array(String): calls of these services; an empty list is all
SELECT
    sum(calls) AS calls,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(cost_total) AS cost_total
FROM llm_calls_hourly
WHERE empty({services:Array(String)}) OR has({services:Array(String)}, service_name)
