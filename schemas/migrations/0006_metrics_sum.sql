-- Points of sums; what is said of those of gauges holds for them too.

CREATE TABLE IF NOT EXISTS otel_metrics_sum
(
    -- include metric_columns
    Value Float64 CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    -- include exemplars
    AggregationTemporality Int32 CODEC(ZSTD(1)),
    IsMonotonic Bool CODEC(ZSTD(1)),
    -- include metric_table

CREATE TABLE IF NOT EXISTS otlp_metrics_sum_in
ENGINE = Null
EMPTY AS
WITH
    -- include any_value
    'Array(Tuple(key String, value ' || any_value || '))' AS attributes,
    -- include exemplars_type
    'Array(Tuple(start_time_unix_nano UInt64, time_unix_nano UInt64, flags UInt32, as_double Float64, '
    || 'as_int Int64, attributes ' || attributes || ', exemplars ' || exemplars || '))' AS points,
    'Array(Tuple(name String, description String, unit String, '
    || 'sum Tuple(aggregation_temporality Int32, is_monotonic Bool, data_points ' || points || ')))' AS metrics,
    -- include metrics_type

CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_metrics_sum_mv TO otel_metrics_sum AS
WITH
    -- include value_text
    -- include exemplar_text
    (t -> toDateTime(least(intDiv(t, 1000000000), 4294967295))) AS time
SELECT
    -- include metric_selected
    number(point.as_int, point.as_double) AS Value,
    -- include exemplars_selected
    point.flags AS Flags,
    metric.sum.aggregation_temporality AS AggregationTemporality,
    metric.sum.is_monotonic AS IsMonotonic,
    resource_metric.tenant AS TenantId
FROM otlp_metrics_sum_in
-- include metric_points
ARRAY JOIN metric.sum.data_points AS point;
