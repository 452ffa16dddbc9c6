-- Log records as the OpenTelemetry Collector's ClickHouse exporter lays them out; ours is the last column.

CREATE TABLE IF NOT EXISTS otel_logs
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    TraceFlags UInt8,
    SeverityText LowCardinality(String) CODEC(ZSTD(1)),
    SeverityNumber UInt8,
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    Body String CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion LowCardinality(String) CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    EventName String CODEC(ZSTD(1)),
    `__otel_materialized_k8s.cluster.name` LowCardinality(String)
        MATERIALIZED ResourceAttributes['k8s.cluster.name'] CODEC(ZSTD(1)),
    `__otel_materialized_k8s.container.name` LowCardinality(String)
        MATERIALIZED ResourceAttributes['k8s.container.name'] CODEC(ZSTD(1)),
    `__otel_materialized_k8s.deployment.name` LowCardinality(String)
        MATERIALIZED ResourceAttributes['k8s.deployment.name'] CODEC(ZSTD(1)),
    `__otel_materialized_k8s.namespace.name` LowCardinality(String)
        MATERIALIZED ResourceAttributes['k8s.namespace.name'] CODEC(ZSTD(1)),
    `__otel_materialized_k8s.node.name` LowCardinality(String)
        MATERIALIZED ResourceAttributes['k8s.node.name'] CODEC(ZSTD(1)),
    `__otel_materialized_k8s.pod.name` LowCardinality(String)
        MATERIALIZED ResourceAttributes['k8s.pod.name'] CODEC(ZSTD(1)),
    `__otel_materialized_k8s.pod.uid` LowCardinality(String)
        MATERIALIZED ResourceAttributes['k8s.pod.uid'] CODEC(ZSTD(1)),
    `__otel_materialized_deployment.environment.name` LowCardinality(String)
        MATERIALIZED ResourceAttributes['deployment.environment.name'] CODEC(ZSTD(1)),
    TenantId LowCardinality(String) DEFAULT '' CODEC(ZSTD(1)) COMMENT 'Whose key the record was sent with.',
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_res_attr_value mapValues(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_scope_attr_key mapKeys(ScopeAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_scope_attr_value mapValues(ScopeAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_log_attr_key mapKeys(LogAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_log_attr_value mapValues(LogAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_lower_body lower(Body) TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 8,
    INDEX idx_event_name EventName TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, min_bytes_for_wide_part = 134217728,
         non_replicated_deduplication_window = 10000,
         fsync_after_insert = 1, fsync_part_directory = 1;

-- Segments of the collector's log land here, as those of spans do in otlp_traces_in: one row is one OTLP LogsData
-- message, read with otlp_logs.proto.
CREATE TABLE IF NOT EXISTS otlp_logs_in
ENGINE = Null
EMPTY AS
WITH
    -- include any_value
    'attributes Array(Tuple(key String, value ' || any_value || '))' AS attributes,
    'Array(Tuple(time_unix_nano UInt64, observed_time_unix_nano UInt64, severity_number Int32, severity_text String, '
    || 'body ' || any_value || ', ' || attributes || ', flags UInt32, trace_id String, span_id String, '
    || 'event_name String))' AS log_records,
    'Array(Tuple(scope Tuple(name String, version String, ' || attributes || '), log_records ' || log_records || ', '
    || 'schema_url String))' AS scope_logs
SELECT CAST(
    [], 'Array(Tuple(resource Tuple(' || attributes || '), scope_logs ' || scope_logs || ', schema_url String, '
        || 'tenant String))') AS resource_logs;

CREATE MATERIALIZED VIEW IF NOT EXISTS otlp_logs_mv TO otel_logs AS
WITH
    -- include value_text
    ((i, size) -> if(length(i) = size AND i != repeat('\0', size), lower(hex(i)), '')) AS id,
    (t -> fromUnixTimestamp64Nano(toInt64(least(t, 9223372036854775807)), 'UTC')) AS time
SELECT
    time(if(record.time_unix_nano = 0, record.observed_time_unix_nano, record.time_unix_nano)) AS Timestamp,
    id(record.trace_id, 16) AS TraceId,
    id(record.span_id, 8) AS SpanId,
    bitAnd(record.flags, 255) AS TraceFlags,
    record.severity_text AS SeverityText,
    if(record.severity_number BETWEEN 0 AND 255, record.severity_number, 0) AS SeverityNumber,
    ResourceAttributes['service.name'] AS ServiceName,
    value_text(record.body) AS Body,
    resource_log.schema_url AS ResourceSchemaUrl,
    attribute_map(resource_log.resource.attributes) AS ResourceAttributes,
    scope_log.schema_url AS ScopeSchemaUrl,
    scope_log.scope.name AS ScopeName,
    scope_log.scope.version AS ScopeVersion,
    attribute_map(scope_log.scope.attributes) AS ScopeAttributes,
    attribute_map(record.attributes) AS LogAttributes,
    record.event_name AS EventName,
    resource_log.tenant AS TenantId
FROM otlp_logs_in
ARRAY JOIN resource_logs AS resource_log
ARRAY JOIN resource_log.scope_logs AS scope_log
ARRAY JOIN scope_log.log_records AS record;
