-- title: Totals
-- about: How many calls some services made, and what they read, wrote and cost, added up call by call.
-- parameter services Array(String): calls of these services; an empty list is all
SELECT
    count() AS calls,
    sum(ifNull(input_tokens, 0)) AS input_tokens,
    sum(ifNull(output_tokens, 0)) AS output_tokens,
    sum(ifNull(cost_total, 0)) AS cost_total
FROM llm_calls
WHERE empty({services:Array(String)}) OR has({services:Array(String)}, service_name)
