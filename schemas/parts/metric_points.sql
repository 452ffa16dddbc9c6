ARRAY JOIN resource_metrics AS resource_metric
ARRAY JOIN resource_metric.scope_metrics AS scope_metric
ARRAY JOIN scope_metric.metrics AS metric
