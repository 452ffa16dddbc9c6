-- A search by an attribute looks at the span, its resource, its scope, its events and its links. Only where each of them
-- has an index can it leave out what holds the value nowhere.
ALTER TABLE otel_traces
    ADD INDEX IF NOT EXISTS idx_scope_attr_value mapValues(ScopeAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS idx_event_attr_value arrayFlatten(arrayMap(m -> mapValues(m), Events.Attributes))
        TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS idx_link_attr_value arrayFlatten(arrayMap(m -> mapValues(m), Links.Attributes))
        TYPE bloom_filter(0.01) GRANULARITY 1;
