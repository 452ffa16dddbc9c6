-- What some traces are about: their root (the first span without a parent), their times in Unix nanoseconds, how many
-- spans they have, how many of these failed or lack their parent, and the same by service.
WITH spans AS
(
    SELECT TraceId, SpanId, ParentSpanId, ServiceName, SpanName, Timestamp, Duration, StatusCode = 'Error' AS failed
    FROM otel_traces
    WHERE
    -- include spans_between
)
SELECT
    TraceId AS trace_id,
    argMinIf(ServiceName, Timestamp, ParentSpanId = '') AS root_service,
    argMinIf(SpanName, Timestamp, ParentSpanId = '') AS root_operation,
    min(toUnixTimestamp64Nano(Timestamp)) AS began,
    max(toUInt64(toUnixTimestamp64Nano(Timestamp)) + Duration) AS ended,
    count() AS spans,
    countIf(failed) AS failed_spans,
    countIf(ParentSpanId != '' AND (TraceId, ParentSpanId) NOT IN (SELECT TraceId, SpanId FROM spans)) AS orphans,
    CAST(sumMap(map(ServiceName, 1)), 'Array(Tuple(String, UInt64))') AS services,
    CAST(sumMap(map(ServiceName, failed)), 'Array(Tuple(String, UInt64))') AS failed_by_service
FROM spans
GROUP BY trace_id
