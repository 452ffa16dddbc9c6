-- How often a service's spans have a parent in a service, itself included: spans that began between two times, with
-- parents that began at most an hour before the first. Ids are joined as the numbers that they are; where
-- two spans have the parent's id, it is one of them.
SELECT parents.service AS parent, children.service AS child, count() AS calls
FROM
(
    SELECT
        reinterpretAsUInt128(unhex(TraceId)) AS trace,
        reinterpretAsUInt64(unhex(ParentSpanId)) AS span,
        ServiceName AS service
    FROM otel_traces
    WHERE ParentSpanId != ''
      AND Timestamp >= fromUnixTimestamp64Nano({first:Int64}, 'UTC')
      AND Timestamp <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
) AS children
SEMI LEFT JOIN
(
    SELECT
        reinterpretAsUInt128(unhex(TraceId)) AS trace,
        reinterpretAsUInt64(unhex(SpanId)) AS span,
        ServiceName AS service
    FROM otel_traces
    WHERE Timestamp >= fromUnixTimestamp64Nano({first:Int64} - 3600000000000, 'UTC')
      AND Timestamp <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')
) AS parents USING (trace, span)
GROUP BY parent, child
ORDER BY parent, child
