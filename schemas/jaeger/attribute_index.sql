-- What the indexes can read of attribute.sql: they leave out granules in which the value is nowhere.
(
    SpanAttributes[{key:String}] = {value:String}
    OR ResourceAttributes[{key:String}] = {value:String}
    OR ScopeAttributes[{key:String}] = {value:String}
    OR has(arrayFlatten(arrayMap(m -> mapValues(m), Events.Attributes)), {value:String})
    OR has(arrayFlatten(arrayMap(m -> mapValues(m), Links.Attributes)), {value:String})
)
