    'Array(Tuple(scope Tuple(name String, version String, attributes ' || attributes || ', '
    || 'dropped_attributes_count UInt32), metrics ' || metrics || ', schema_url String))' AS scope_metrics
SELECT CAST(
    [], 'Array(Tuple(resource Tuple(attributes ' || attributes || '), scope_metrics ' || scope_metrics || ', '
        || 'schema_url String, tenant String))') AS resource_metrics;
