"""A real Jaeger reads the store."""
