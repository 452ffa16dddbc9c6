-- Spans as the OpenTelemetry Collector's ClickHouse exporter lays them out, so that it can write these tables and
-- Grafana's plugin and HyperDX can read them. Columns of ours are appended, with a DEFAULT: the tenant, and what the
-- exporter leaves out, so that a span can be given back with everything that OTLP had of it (whole_spans.sql). A kind or
-- status without a name is its number, as text, where the exporter has nothing.
-- The deduplication window makes an insert that is repeated after a crash count once; fsync makes it outlive a power
-- loss, because the collector's log is removed once its contents are here.

CREATE TABLE IF NOT EXISTS otel_traces
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(T64, ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested
    (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String),
        DroppedAttributesCount UInt32,
        AttributeTypes Array(UInt8)
    ) CODEC(ZSTD(1)),
    Links Nested
    (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String),
        DroppedAttributesCount UInt32,
        Flags UInt32,
        AttributeTypes Array(UInt8)
    ) CODEC(ZSTD(1)),
    ResourceAttributeItems Array(String)
        ALIAS arrayMap(kv -> concat(kv.1, '=', kv.2), CAST(ResourceAttributes, 'Array(Tuple(String, String))')),
    SpanAttributeItems Array(String)
        ALIAS arrayMap(kv -> concat(kv.1, '=', kv.2), CAST(SpanAttributes, 'Array(Tuple(String, String))')),
    TenantId LowCardinality(String) DEFAULT '' CODEC(ZSTD(1))
        COMMENT 'Whose key the span was sent with.',
    TraceFlags UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    DroppedAttributesCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    DroppedEventsCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    DroppedLinksCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)),
    ResourceDroppedAttributesCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    ScopeSchemaUrl LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) DEFAULT map() CODEC(ZSTD(1)),
    ScopeDroppedAttributesCount UInt32 DEFAULT 0 CODEC(ZSTD(1)),
    ResourceAttributeTypes Array(UInt8) DEFAULT [] CODEC(ZSTD(1))
        COMMENT 'Types of the values: the field of OTLP''s AnyValue, or 10 more for an array of only that.',
    ScopeAttributeTypes Array(UInt8) DEFAULT [] CODEC(ZSTD(1)),
    SpanAttributeTypes Array(UInt8) DEFAULT [] CODEC(ZSTD(1)),
    NestedValues Array(String) DEFAULT [] CODEC(ZSTD(1))
        COMMENT 'Values of type 5 and 6 as protobuf in base64: of the resource, scope, span, events and links.',
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_res_attr_value mapValues(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_span_attr_key mapKeys(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_span_attr_value mapValues(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1,
    INDEX idx_lower_span_name lower(SpanName) TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 8
)
ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
PRIMARY KEY (ServiceName, SpanName, toDateTime(Timestamp))
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp), Timestamp)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, min_bytes_for_wide_part = 134217728,
         merge_selector_base = 10, non_replicated_deduplication_window = 10000,
         fsync_after_insert = 1, fsync_part_directory = 1;

-- When each trace began and ended, so that one trace is found without reading every partition.
CREATE TABLE IF NOT EXISTS otel_traces_trace_id_ts
(
    TraceId String CODEC(ZSTD(1)),
    Start SimpleAggregateFunction(min, DateTime) CODEC(ZSTD(1)),
    End SimpleAggregateFunction(max, DateTime) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toStartOfWeek(Start)
ORDER BY TraceId
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, min_bytes_for_wide_part = 134217728,
         merge_selector_base = 10, non_replicated_deduplication_window = 10000,
         fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts AS
WITH
    toDateTime64(0, 9, 'UTC') AS first,
    toDateTime64('2106-02-07 00:00:00', 9, 'UTC') AS last
SELECT
    TraceId,
    toDateTime(greatest(least(min(Timestamp), last), first)) AS Start,
    toDateTime(greatest(least(max(Timestamp), last), first)) AS End
FROM otel_traces
WHERE TraceId != ''
GROUP BY TraceId;

-- Segments of the collector's log land here: one row is one OTLP TracesData message, read with otlp_traces.proto. The
-- member `value` of a value says which kind it is (input_format_protobuf_oneof_presence), so 0, false and '' count. The
-- type repeats itself, so it is put together from its parts.
CREATE TABLE IF NOT EXISTS otlp_traces_in
ENGINE = Null
EMPTY AS
WITH
    -- include any_value
    'attributes Array(Tuple(key String, value ' || any_value || ', nested UInt8)), dropped_attributes_count UInt32'
        AS attributes,
    'Array(Tuple(time_unix_nano UInt64, name String, ' || attributes || '))' AS events,
    'Array(Tuple(trace_id String, span_id String, trace_state String, flags UInt32, ' || attributes || '))' AS links,
    'Array(Tuple(trace_id String, span_id String, trace_state String, parent_span_id String, flags UInt32, '
    || 'name String, kind Int32, start_time_unix_nano UInt64, end_time_unix_nano UInt64, ' || attributes || ', '
    || 'events ' || events || ', dropped_events_count UInt32, links ' || links || ', dropped_links_count UInt32, '
    || 'status Tuple(message String, code Int32), nested_values Array(String)))' AS spans,
    'Array(Tuple(scope Tuple(name String, version String, ' || attributes || ', nested_values Array(String)), '
    || 'schema_url String, spans ' || spans || '))' AS scope_spans
SELECT CAST(
    [],
    'Array(Tuple(resource Tuple(' || attributes || ', nested_values Array(String)), schema_url String, tenant String, '
    || 'scope_spans ' || scope_spans || '))') AS resource_spans;

CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_traces_mv TO otel_traces AS
WITH
    -- include value_text
    (a -> arrayMap((kind, nested, elements) -> multiIf(
        nested > 0, nested, notEmpty(elements), 10 + toUInt8(elements[1]), toUInt8(kind)),
        a.value.value, a.nested, a.value.array_value.values.value)) AS attribute_types,
    (t -> fromUnixTimestamp64Nano(toInt64(least(t, 9223372036854775807)), 'UTC')) AS time
SELECT
    time(span.start_time_unix_nano) AS Timestamp,
    lower(hex(span.trace_id)) AS TraceId,
    lower(hex(span.span_id)) AS SpanId,
    lower(hex(span.parent_span_id)) AS ParentSpanId,
    span.trace_state AS TraceState,
    span.name AS SpanName,
    if(span.kind BETWEEN 0 AND 5,
       ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer'][span.kind + 1],
       toString(span.kind)) AS SpanKind,
    ResourceAttributes['service.name'] AS ServiceName,
    attribute_map(resource_span.resource.attributes) AS ResourceAttributes,
    scope_span.scope.name AS ScopeName,
    scope_span.scope.version AS ScopeVersion,
    attribute_map(span.attributes) AS SpanAttributes,
    if(span.end_time_unix_nano > span.start_time_unix_nano,
       span.end_time_unix_nano - span.start_time_unix_nano, 0) AS Duration,
    if(span.status.code BETWEEN 0 AND 2,
       ['Unset', 'Ok', 'Error'][span.status.code + 1], toString(span.status.code)) AS StatusCode,
    span.status.message AS StatusMessage,
    arrayMap(e -> time(e.time_unix_nano), span.events) AS `Events.Timestamp`,
    span.events.name AS `Events.Name`,
    arrayMap(e -> attribute_map(e.attributes), span.events) AS `Events.Attributes`,
    span.events.dropped_attributes_count AS `Events.DroppedAttributesCount`,
    arrayMap(e -> attribute_types(e.attributes), span.events) AS `Events.AttributeTypes`,
    arrayMap(l -> lower(hex(l.trace_id)), span.links) AS `Links.TraceId`,
    arrayMap(l -> lower(hex(l.span_id)), span.links) AS `Links.SpanId`,
    span.links.trace_state AS `Links.TraceState`,
    arrayMap(l -> attribute_map(l.attributes), span.links) AS `Links.Attributes`,
    span.links.dropped_attributes_count AS `Links.DroppedAttributesCount`,
    span.links.flags AS `Links.Flags`,
    arrayMap(l -> attribute_types(l.attributes), span.links) AS `Links.AttributeTypes`,
    resource_span.tenant AS TenantId,
    span.flags AS TraceFlags,
    span.dropped_attributes_count AS DroppedAttributesCount,
    span.dropped_events_count AS DroppedEventsCount,
    span.dropped_links_count AS DroppedLinksCount,
    resource_span.schema_url AS ResourceSchemaUrl,
    resource_span.resource.dropped_attributes_count AS ResourceDroppedAttributesCount,
    scope_span.schema_url AS ScopeSchemaUrl,
    attribute_map(scope_span.scope.attributes) AS ScopeAttributes,
    scope_span.scope.dropped_attributes_count AS ScopeDroppedAttributesCount,
    attribute_types(resource_span.resource.attributes) AS ResourceAttributeTypes,
    attribute_types(scope_span.scope.attributes) AS ScopeAttributeTypes,
    attribute_types(span.attributes) AS SpanAttributeTypes,
    arrayConcat(resource_span.resource.nested_values, scope_span.scope.nested_values, span.nested_values)
        AS NestedValues
FROM otlp_traces_in
ARRAY JOIN resource_spans AS resource_span
ARRAY JOIN resource_span.scope_spans AS scope_span
ARRAY JOIN scope_span.spans AS span;
