-- The names and kinds of a service's spans; of one kind where one is asked for.
SELECT DISTINCT SpanName AS name, SpanKind AS kind
FROM otel_traces
WHERE ServiceName = {service:String} AND ({kind:String} = '' OR SpanKind = {kind:String})
ORDER BY name, kind
