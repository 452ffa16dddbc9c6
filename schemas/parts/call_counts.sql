    count() AS calls,
    countIf(c.status_code = 'Error' OR c.error_type != '') AS errors,
    countIf(c.guardrail_blocked) AS blocked,
    countIf(c.cost_status = 'unpriced'
            OR (c.cost_status != 'free' AND isNull(c.cost_total) AND c.total_tokens > 0)) AS unpriced,
    sum(ifNull(c.input_tokens, 0)) AS input_tokens,
    sum(ifNull(c.output_tokens, 0)) AS output_tokens,
