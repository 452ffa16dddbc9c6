-- The names of all services.
SELECT DISTINCT ServiceName AS name
FROM otel_traces
WHERE ServiceName != ''
ORDER BY name
