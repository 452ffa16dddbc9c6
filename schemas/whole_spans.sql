-- Spans with everything that OTLP had of them; maps as keys and values, because a key may come twice. Nested values are
-- in the order of resource, scope, span: those that belong to what is above the span are as many as the types say.
-- `above` is JSON, the same text for all spans of a scope.
SELECT
    TraceId AS trace_id,
    toJSONString((
        (mapKeys(ResourceAttributes), mapValues(ResourceAttributes), ResourceAttributeTypes),
        ResourceDroppedAttributesCount,
        ResourceSchemaUrl,
        ScopeName,
        ScopeVersion,
        (mapKeys(ScopeAttributes), mapValues(ScopeAttributes), ScopeAttributeTypes),
        ScopeDroppedAttributesCount,
        ScopeSchemaUrl,
        arraySlice(NestedValues, 1, nested_above)
    )) AS above,
    (
        SpanId,
        ParentSpanId,
        TraceState,
        TraceFlags,
        SpanName,
        SpanKind,
        toUnixTimestamp64Nano(Timestamp),
        Duration,
        StatusCode,
        StatusMessage,
        (mapKeys(SpanAttributes), mapValues(SpanAttributes), SpanAttributeTypes),
        DroppedAttributesCount,
        arrayZip(arrayMap(time -> toUnixTimestamp64Nano(time), Events.Timestamp), Events.Name,
                 Events.DroppedAttributesCount, arrayMap(map -> mapKeys(map), Events.Attributes),
                 arrayMap(map -> mapValues(map), Events.Attributes), Events.AttributeTypes),
        DroppedEventsCount,
        arrayZip(Links.TraceId, Links.SpanId, Links.TraceState, Links.Flags, Links.DroppedAttributesCount,
                 arrayMap(map -> mapKeys(map), Links.Attributes), arrayMap(map -> mapValues(map), Links.Attributes),
                 Links.AttributeTypes),
        DroppedLinksCount,
        arraySlice(NestedValues, nested_above + 1)
    ) AS span,
    if(empty(NestedValues), 0, length(arrayFilter(
        (type, value) -> type = 6 OR (type = 5 AND value != '[]'),
        arrayConcat(ResourceAttributeTypes, ScopeAttributeTypes),
        arrayConcat(if(empty(ResourceAttributeTypes), [], mapValues(ResourceAttributes)),
                    if(empty(ScopeAttributeTypes), [], mapValues(ScopeAttributes)))))) AS nested_above
FROM otel_traces
WHERE
-- include spans_between
LIMIT {most:UInt32}
