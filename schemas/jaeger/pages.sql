-- The spans of some traces, each trace divided into pieces of so many spans in order of time. Spans that began at the
-- same time and have the same id are in the same piece.
SELECT
    trace_id,
    intDiv(place - 1, {size:UInt32}) AS piece,
    toUnixTimestamp64Nano(min((time, span_id)).1) AS first_time,
    min((time, span_id)).2 AS first_span,
    toUnixTimestamp64Nano(max((time, span_id)).1) AS last_time,
    max((time, span_id)).2 AS last_span,
    count() AS spans
FROM
(
    SELECT
        TraceId AS trace_id,
        Timestamp AS time,
        SpanId AS span_id,
        rank() OVER (PARTITION BY TraceId ORDER BY Timestamp, SpanId) AS place
    FROM otel_traces
    WHERE
    -- include spans_between
)
GROUP BY trace_id, piece
ORDER BY trace_id, piece
