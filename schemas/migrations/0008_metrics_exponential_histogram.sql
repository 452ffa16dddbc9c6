-- Points of exponential histograms; what is said of those of gauges holds for them too.

CREATE TABLE IF NOT EXISTS otel_metrics_exponential_histogram
(
    -- include metric_columns
    Count UInt64 CODEC(Delta(8), ZSTD(1)),
    Sum Float64 CODEC(ZSTD(1)),
    Scale Int32 CODEC(ZSTD(1)),
    ZeroCount UInt64 CODEC(ZSTD(1)),
    PositiveOffset Int32 CODEC(ZSTD(1)),
    PositiveBucketCounts Array(UInt64) CODEC(ZSTD(1)),
    NegativeOffset Int32 CODEC(ZSTD(1)),
    NegativeBucketCounts Array(UInt64) CODEC(ZSTD(1)),
    -- include exemplars
    Flags UInt32 CODEC(ZSTD(1)),
    Min Float64 CODEC(ZSTD(1)),
    Max Float64 CODEC(ZSTD(1)),
    AggregationTemporality Int32 CODEC(ZSTD(1)),
    -- include metric_table

CREATE TABLE IF NOT EXISTS otlp_metrics_exponential_histogram_in
ENGINE = Null
EMPTY AS
WITH
    -- include any_value
    'Array(Tuple(key String, value ' || any_value || '))' AS attributes,
    -- include exemplars_type
    'Array(Tuple(start_time_unix_nano UInt64, time_unix_nano UInt64, flags UInt32, count UInt64, sum Float64, '
    || 'scale Int32, zero_count UInt64, positive Tuple(offset Int32, bucket_counts Array(UInt64)), '
    || 'negative Tuple(offset Int32, bucket_counts Array(UInt64)), min Float64, max Float64, '
    || 'attributes ' || attributes || ', exemplars ' || exemplars || '))' AS points,
    'Array(Tuple(name String, description String, unit String, '
    || 'exponential_histogram Tuple(aggregation_temporality Int32, data_points ' || points || ')))' AS metrics,
    -- include metrics_type

CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_metrics_exponential_histogram_mv TO otel_metrics_exponential_histogram AS
WITH
    -- include value_text
    -- include exemplar_text
    (t -> toDateTime(least(intDiv(t, 1000000000), 4294967295))) AS time
SELECT
    -- include metric_selected
    point.count AS Count,
    point.sum AS Sum,
    point.scale AS Scale,
    point.zero_count AS ZeroCount,
    point.positive.offset AS PositiveOffset,
    point.positive.bucket_counts AS PositiveBucketCounts,
    point.negative.offset AS NegativeOffset,
    point.negative.bucket_counts AS NegativeBucketCounts,
    point.min AS Min,
    point.max AS Max,
    -- include exemplars_selected
    point.flags AS Flags,
    metric.exponential_histogram.aggregation_temporality AS AggregationTemporality,
    resource_metric.tenant AS TenantId
FROM otlp_metrics_exponential_histogram_in
-- include metric_points
ARRAY JOIN metric.exponential_histogram.data_points AS point;
