-- The spans of one trace with everything that OTLP had of them; maps as keys and values, because a key may come twice.
WITH
    (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = {trace_id:String}) AS began,
    (SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = {trace_id:String}) AS ended
SELECT
    TraceId AS trace_id,
    SpanId AS span_id,
    ParentSpanId AS parent_span_id,
    TraceState AS trace_state,
    TraceFlags AS flags,
    SpanName AS name,
    SpanKind AS kind,
    toUnixTimestamp64Nano(Timestamp) AS start_time,
    Duration AS duration,
    StatusCode AS status_code,
    StatusMessage AS status_message,
    (mapKeys(SpanAttributes), mapValues(SpanAttributes), SpanAttributeTypes) AS attributes,
    DroppedAttributesCount AS dropped_attributes_count,
    (mapKeys(ResourceAttributes), mapValues(ResourceAttributes), ResourceAttributeTypes) AS resource_attributes,
    ResourceDroppedAttributesCount AS resource_dropped_attributes_count,
    ResourceSchemaUrl AS resource_schema_url,
    ScopeName AS scope_name,
    ScopeVersion AS scope_version,
    (mapKeys(ScopeAttributes), mapValues(ScopeAttributes), ScopeAttributeTypes) AS scope_attributes,
    ScopeDroppedAttributesCount AS scope_dropped_attributes_count,
    ScopeSchemaUrl AS scope_schema_url,
    arrayZip(arrayMap(time -> toUnixTimestamp64Nano(time), Events.Timestamp), Events.Name,
             Events.DroppedAttributesCount, arrayMap(map -> mapKeys(map), Events.Attributes),
             arrayMap(map -> mapValues(map), Events.Attributes), Events.AttributeTypes) AS events,
    DroppedEventsCount AS dropped_events_count,
    arrayZip(Links.TraceId, Links.SpanId, Links.TraceState, Links.Flags, Links.DroppedAttributesCount,
             arrayMap(map -> mapKeys(map), Links.Attributes), arrayMap(map -> mapValues(map), Links.Attributes),
             Links.AttributeTypes) AS links,
    DroppedLinksCount AS dropped_links_count,
    NestedValues AS nested_values
FROM otel_traces
WHERE TraceId = {trace_id:String} AND Timestamp BETWEEN began AND ended
ORDER BY Timestamp
