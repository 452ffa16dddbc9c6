"""Jaeger's remote storage, version 2: traces, services and dependencies for Jaeger's query service, over gRPC."""
