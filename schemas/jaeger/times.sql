-- When the first and the last span began, in Unix nanoseconds; nought where there is none.
SELECT
    toUnixTimestamp64Nano(min(Timestamp)) AS first,
    toUnixTimestamp64Nano(max(Timestamp)) AS last,
    count() AS spans
FROM otel_traces
