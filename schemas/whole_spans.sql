-- Spans with everything that OTLP had of them, under each scope of each resource of each trace once; maps as keys and
-- values, because a key may come twice. Nested values are in the order of resource, scope, span: those that belong to
-- what is above the span are as many as the types say.
SELECT
    TraceId AS trace_id,
    (mapKeys(ResourceAttributes), mapValues(ResourceAttributes), ResourceAttributeTypes) AS resource_attributes,
    ResourceDroppedAttributesCount AS resource_dropped_attributes_count,
    ResourceSchemaUrl AS resource_schema_url,
    ScopeName AS scope_name,
    ScopeVersion AS scope_version,
    (mapKeys(ScopeAttributes), mapValues(ScopeAttributes), ScopeAttributeTypes) AS scope_attributes,
    ScopeDroppedAttributesCount AS scope_dropped_attributes_count,
    ScopeSchemaUrl AS scope_schema_url,
    length(arrayFilter(
        (type, value) -> type = 6 OR (type = 5 AND value != '[]'),
        arrayConcat(ResourceAttributeTypes, ScopeAttributeTypes),
        arrayConcat(if(empty(ResourceAttributeTypes), [], mapValues(ResourceAttributes)),
                    if(empty(ScopeAttributeTypes), [], mapValues(ScopeAttributes))))) AS above,
    arraySlice(NestedValues, 1, above) AS nested_values,
    groupArray((
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
        mapKeys(SpanAttributes),
        mapValues(SpanAttributes),
        SpanAttributeTypes,
        DroppedAttributesCount,
        arrayZip(arrayMap(time -> toUnixTimestamp64Nano(time), Events.Timestamp), Events.Name,
                 Events.DroppedAttributesCount, arrayMap(map -> mapKeys(map), Events.Attributes),
                 arrayMap(map -> mapValues(map), Events.Attributes), Events.AttributeTypes),
        DroppedEventsCount,
        arrayZip(Links.TraceId, Links.SpanId, Links.TraceState, Links.Flags, Links.DroppedAttributesCount,
                 arrayMap(map -> mapKeys(map), Links.Attributes), arrayMap(map -> mapValues(map), Links.Attributes),
                 Links.AttributeTypes),
        DroppedLinksCount,
        arraySlice(NestedValues, above + 1)
    )) AS spans
FROM
(
    SELECT *
    FROM otel_traces
    WHERE
    -- include spans_between
    ORDER BY Timestamp, SpanId
)
GROUP BY
    trace_id, resource_attributes, resource_dropped_attributes_count, resource_schema_url, scope_name, scope_version,
    scope_attributes, scope_dropped_attributes_count, scope_schema_url, above, nested_values
ORDER BY trace_id
