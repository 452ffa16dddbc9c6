-- Calls summed by hour. Rows with the same key are added together in the background, at some time, so every question
-- sums: SELECT sum(calls) …

CREATE TABLE IF NOT EXISTS llm_calls_hourly
(
    hour DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'The hour in which the calls began.',
    tenant_id LowCardinality(String),
    service_name LowCardinality(String),
    provider LowCardinality(String),
    request_model LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    call_type LowCardinality(String),
    calls UInt64 COMMENT 'Number of calls.',
    errors UInt64 COMMENT 'Calls that failed.',
    blocked UInt64 COMMENT 'Calls that a guardrail refused.',
    unpriced UInt64 COMMENT 'Calls that say that they have no price, or used tokens, are not free and have no cost.',
    input_tokens UInt64 COMMENT 'All input tokens.',
    output_tokens UInt64 COMMENT 'All output tokens.',
    cache_read_tokens UInt64 COMMENT 'Input tokens read from the provider''s cache.',
    cost_total Decimal(38, 9) COMMENT 'Sum of the costs that are known.',
    duration_s Float64 COMMENT 'Sum of the durations, in seconds.'
)
ENGINE = SummingMergeTree((calls, errors, blocked, unpriced, input_tokens, output_tokens, cache_read_tokens,
                           cost_total, duration_s))
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant_id, hour, service_name, provider, request_model, prompt_name, prompt_version, call_type)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 10000,
         fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS llm_calls_hourly_mv TO llm_calls_hourly AS
WITH
    toDateTime64(0, 9, 'UTC') AS first,
    toDateTime64('2106-02-07 00:00:00', 9, 'UTC') AS last
SELECT
    toStartOfHour(toDateTime(greatest(least(start_time, last), first))) AS hour,
    tenant_id,
    service_name,
    provider,
    request_model,
    prompt_name,
    prompt_version,
    call_type,
    -- include call_counts
    sum(ifNull(c.cache_read_tokens, 0)) AS cache_read_tokens,
    sum(ifNull(c.cost_total, 0)) AS cost_total,
    sum(c.duration_s) AS duration_s
FROM llm_calls AS c
GROUP BY hour, tenant_id, service_name, provider, request_model, prompt_name, prompt_version, call_type;
