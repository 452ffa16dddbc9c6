-- Points of histograms; what is said of those of gauges holds for them too.

CREATE TABLE IF NOT EXISTS otel_metrics_histogram
(
    -- include metric_columns
    Count UInt64 CODEC(Delta(8), ZSTD(1)),
    Sum Float64 CODEC(ZSTD(1)),
    BucketCounts Array(UInt64) CODEC(ZSTD(1)),
    ExplicitBounds Array(Float64) CODEC(ZSTD(1)),
    -- include exemplars
    Flags UInt32 CODEC(ZSTD(1)),
    Min Float64 CODEC(ZSTD(1)),
    Max Float64 CODEC(ZSTD(1)),
    AggregationTemporality Int32 CODEC(ZSTD(1)),
    -- include metric_table

CREATE TABLE IF NOT EXISTS otlp_metrics_histogram_in
ENGINE = Null
EMPTY AS
WITH
    -- include any_value
    'Array(Tuple(key String, value ' || any_value || '))' AS attributes,
    -- include exemplars_type
    'Array(Tuple(start_time_unix_nano UInt64, time_unix_nano UInt64, flags UInt32, count UInt64, sum Float64, '
    || 'bucket_counts Array(UInt64), explicit_bounds Array(Float64), min Float64, max Float64, '
    || 'attributes ' || attributes || ', exemplars ' || exemplars || '))' AS points,
    'Array(Tuple(name String, description String, unit String, '
    || 'histogram Tuple(aggregation_temporality Int32, data_points ' || points || ')))' AS metrics,
    -- include metrics_type

CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_metrics_histogram_mv TO otel_metrics_histogram AS
WITH
    -- include value_text
    -- include exemplar_text
    (t -> toDateTime(least(intDiv(t, 1000000000), 4294967295))) AS time
SELECT
    -- include metric_selected
    point.count AS Count,
    point.sum AS Sum,
    point.bucket_counts AS BucketCounts,
    point.explicit_bounds AS ExplicitBounds,
    point.min AS Min,
    point.max AS Max,
    -- include exemplars_selected
    point.flags AS Flags,
    metric.histogram.aggregation_temporality AS AggregationTemporality,
    resource_metric.tenant AS TenantId
FROM otlp_metrics_histogram_in
-- include metric_points
ARRAY JOIN metric.histogram.data_points AS point;
