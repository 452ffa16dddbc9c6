-- Points of gauges as the OpenTelemetry Collector's ClickHouse exporter lays them out, a table a kind of metric, with
-- times in seconds; ours is the last column.

CREATE TABLE IF NOT EXISTS otel_metrics_gauge
(
    -- include metric_columns
    Value Float64 CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    -- include exemplars
    -- include metric_table

-- Segments of the collector's log land here, as those of spans do in otlp_traces_in: one row is one OTLP MetricsData
-- message, read with otlp_metrics.proto. There is a landing for each kind, and a segment goes to those whose kinds it
-- has: what a view costs before its first row is most of what it costs.
CREATE TABLE IF NOT EXISTS otlp_metrics_gauge_in
ENGINE = Null
EMPTY AS
WITH
    -- include any_value
    'Array(Tuple(key String, value ' || any_value || '))' AS attributes,
    -- include exemplars_type
    'Array(Tuple(start_time_unix_nano UInt64, time_unix_nano UInt64, flags UInt32, as_double Float64, '
    || 'as_int Int64, attributes ' || attributes || ', exemplars ' || exemplars || '))' AS points,
    'Array(Tuple(name String, description String, unit String, '
    || 'gauge Tuple(data_points ' || points || ')))' AS metrics,
    -- include metrics_type

CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_metrics_gauge_mv TO otel_metrics_gauge AS
WITH
    -- include value_text
    -- include exemplar_text
    (t -> toDateTime(least(intDiv(t, 1000000000), 4294967295))) AS time
SELECT
    -- include metric_selected
    number(point.as_int, point.as_double) AS Value,
    -- include exemplars_selected
    point.flags AS Flags,
    resource_metric.tenant AS TenantId
FROM otlp_metrics_gauge_in
-- include metric_points
ARRAY JOIN metric.gauge.data_points AS point;
