-- Points of summaries; what is said of those of gauges holds for them too.

CREATE TABLE IF NOT EXISTS otel_metrics_summary
(
    -- include metric_columns
    Count UInt64 CODEC(Delta(8), ZSTD(1)),
    Sum Float64 CODEC(ZSTD(1)),
    ValueAtQuantiles Nested
    (
        Quantile Float64,
        Value Float64
    ) CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    -- include metric_table

CREATE TABLE IF NOT EXISTS otlp_metrics_summary_in
ENGINE = Null
EMPTY AS
WITH
    -- include any_value
    'Array(Tuple(key String, value ' || any_value || '))' AS attributes,
    'Array(Tuple(start_time_unix_nano UInt64, time_unix_nano UInt64, flags UInt32, count UInt64, sum Float64, '
    || 'quantile_values Array(Tuple(quantile Float64, value Float64)), '
    || 'attributes ' || attributes || '))' AS points,
    'Array(Tuple(name String, description String, unit String, '
    || 'summary Tuple(data_points ' || points || ')))' AS metrics,
    -- include metrics_type

CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_metrics_summary_mv TO otel_metrics_summary AS
WITH
    -- include value_text
    (t -> toDateTime(least(intDiv(t, 1000000000), 4294967295))) AS time
SELECT
    -- include metric_selected
    point.count AS Count,
    point.sum AS Sum,
    point.quantile_values.quantile AS `ValueAtQuantiles.Quantile`,
    point.quantile_values.value AS `ValueAtQuantiles.Value`,
    point.flags AS Flags,
    resource_metric.tenant AS TenantId
FROM otlp_metrics_summary_in
-- include metric_points
ARRAY JOIN metric.summary.data_points AS point;
