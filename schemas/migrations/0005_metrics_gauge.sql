-- Points of gauges as the OpenTelemetry Collector's ClickHouse exporter lays them out, a table a kind of metric, with
-- times in seconds; ours is the last column.

CREATE TABLE IF NOT EXISTS otel_metrics_gauge
(
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceSchemaUrl String CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeDroppedAttrCount UInt32 CODEC(ZSTD(1)),
    ScopeSchemaUrl String CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    MetricDescription String CODEC(ZSTD(1)),
    MetricUnit String CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StartTimeUnix DateTime CODEC(Delta(4), ZSTD(1)),
    TimeUnix DateTime CODEC(Delta(4), ZSTD(1)),
    Value Float64 CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    Exemplars Nested
    (
        FilteredAttributes Map(LowCardinality(String), String),
        TimeUnix DateTime,
        Value Float64,
        SpanId String,
        TraceId String
    ) CODEC(ZSTD(1)),
    TenantId LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)) COMMENT 'Whose key the point was sent with.',
    INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_res_attr_value mapValues(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_scope_attr_key mapKeys(ScopeAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_scope_attr_value mapValues(ScopeAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_attr_key mapKeys(Attributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_attr_value mapValues(Attributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_time_minmax TimeUnix TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(TimeUnix)
ORDER BY (ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, min_bytes_for_wide_part = 134217728,
         non_replicated_deduplication_window = 10000,
         fsync_after_insert = 1, fsync_part_directory = 1;

-- Segments of the collector's log land here, as those of spans do in otlp_traces_in: one row is one OTLP MetricsData
-- message, read with otlp_metrics.proto. There is a landing for each kind, and a segment goes to those whose kinds it
-- has: what a view costs before its first row is most of what it costs.
CREATE TABLE IF NOT EXISTS otlp_metrics_gauge_in
ENGINE = Null
EMPTY AS
WITH
    'value Enum8(\'no\' = 0, \'string_value\' = 1, \'bool_value\' = 2, \'int_value\' = 3, \'double_value\' = 4, '
    || '\'array_value\' = 5, \'kvlist_value\' = 6, \'bytes_value\' = 7), '
    || 'string_value String, bool_value Bool, int_value Int64, double_value Float64, '
    || 'kvlist_value String, bytes_value String, ' AS kinds,
    'Tuple(' || kinds || 'array_value String)' AS element,
    'Tuple(' || kinds || 'array_value Tuple(values Array(' || element || ')))' AS any_value,
    'Array(Tuple(key String, value ' || any_value || '))' AS attributes,
    'Array(Tuple(time_unix_nano UInt64, as_double Float64, as_int Int64, span_id String, trace_id String, '
    || 'filtered_attributes ' || attributes || '))' AS exemplars,
    'Array(Tuple(start_time_unix_nano UInt64, time_unix_nano UInt64, flags UInt32, as_double Float64, '
    || 'as_int Int64, attributes ' || attributes || ', exemplars ' || exemplars || '))' AS points,
    'Array(Tuple(name String, description String, unit String, '
    || 'gauge Tuple(data_points ' || points || ')))' AS metrics,
    'Array(Tuple(scope Tuple(name String, version String, attributes ' || attributes || ', '
    || 'dropped_attributes_count UInt32), metrics ' || metrics || ', schema_url String))' AS scope_metrics
SELECT CAST(
    [], 'Array(Tuple(resource Tuple(attributes ' || attributes || '), scope_metrics ' || scope_metrics || ', '
        || 'schema_url String, tenant String))') AS resource_metrics;

CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_metrics_gauge_mv TO otel_metrics_gauge AS
WITH
    (d -> multiIf(isNaN(d), 'NaN', d = inf, '+Inf', d = -inf, '-Inf', toString(d))) AS double_text,
    (e -> multiIf(
        e.value = 'string_value', toJSONString(e.string_value),
        e.value = 'bool_value', if(e.bool_value, 'true', 'false'),
        e.value = 'int_value', toString(e.int_value),
        e.value = 'double_value', if(isFinite(e.double_value), toString(e.double_value),
                                     concat('"', double_text(e.double_value), '"')),
        concat('"', base64Encode(e.bytes_value), '"'))) AS element_text,
    (kinds -> arrayUniq(kinds) > 1 OR hasAny(kinds, ['no', 'array_value', 'kvlist_value'])) AS is_nested,
    (v -> multiIf(
        v.value = 'string_value', v.string_value,
        v.value = 'bool_value', if(v.bool_value, 'true', 'false'),
        v.value = 'int_value', toString(v.int_value),
        v.value = 'double_value', double_text(v.double_value),
        v.value = 'array_value' AND throwIf(is_nested(v.array_value.values.value), 'otlp_nested') = 0,
            concat('[', arrayStringConcat(arrayMap(e -> element_text(e), v.array_value.values), ','), ']'),
        v.value = 'bytes_value', base64Encode(v.bytes_value),
        throwIf(v.value = 'kvlist_value', 'otlp_nested') = 0, '', '')) AS value_text,
    (a -> mapFromArrays(a.key, arrayMap(v -> value_text(v), a.value))) AS attribute_map,
    ((i, size) -> if(length(i) = size AND i != repeat('\0', size), lower(hex(i)), '')) AS id,
    ((i, d) -> if(i != 0, toFloat64(i), d)) AS number,
    (t -> toDateTime(least(intDiv(t, 1000000000), 4294967295))) AS time
SELECT
    attribute_map(resource_metric.resource.attributes) AS ResourceAttributes,
    resource_metric.schema_url AS ResourceSchemaUrl,
    scope_metric.scope.name AS ScopeName,
    scope_metric.scope.version AS ScopeVersion,
    attribute_map(scope_metric.scope.attributes) AS ScopeAttributes,
    scope_metric.scope.dropped_attributes_count AS ScopeDroppedAttrCount,
    scope_metric.schema_url AS ScopeSchemaUrl,
    ResourceAttributes['service.name'] AS ServiceName,
    metric.name AS MetricName,
    metric.description AS MetricDescription,
    metric.unit AS MetricUnit,
    attribute_map(point.attributes) AS Attributes,
    time(point.start_time_unix_nano) AS StartTimeUnix,
    time(point.time_unix_nano) AS TimeUnix,
    number(point.as_int, point.as_double) AS Value,
    arrayMap(e -> attribute_map(e), point.exemplars.filtered_attributes) AS `Exemplars.FilteredAttributes`,
    arrayMap(t -> time(t), point.exemplars.time_unix_nano) AS `Exemplars.TimeUnix`,
    arrayMap((i, d) -> number(i, d), point.exemplars.as_int, point.exemplars.as_double) AS `Exemplars.Value`,
    arrayMap(i -> id(i, 8), point.exemplars.span_id) AS `Exemplars.SpanId`,
    arrayMap(i -> id(i, 16), point.exemplars.trace_id) AS `Exemplars.TraceId`,
    point.flags AS Flags,
    resource_metric.tenant AS TenantId
FROM otlp_metrics_gauge_in
ARRAY JOIN resource_metrics AS resource_metric
ARRAY JOIN resource_metric.scope_metrics AS scope_metric
ARRAY JOIN scope_metric.metrics AS metric
ARRAY JOIN metric.gauge.data_points AS point;
