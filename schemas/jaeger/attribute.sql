-- A span, its resource, its scope, an event or a link of it has an attribute with this value, as text. Not with OR, which
-- would count as comparisons that an index might read, and there may be some thirty of these in all.
bitOr(
    bitOr(mapContains(SpanAttributes, {key:String}) AND SpanAttributes[{key:String}] = {value:String},
          mapContains(ResourceAttributes, {key:String}) AND ResourceAttributes[{key:String}] = {value:String}),
    bitOr(
        mapContains(ScopeAttributes, {key:String}) AND ScopeAttributes[{key:String}] = {value:String},
        arrayExists(m -> mapContains(m, {key:String}) AND m[{key:String}] = {value:String},
                    arrayConcat(Events.Attributes, Links.Attributes))))
