"""The service: OTLP in, ClickHouse out."""
