"""The two doors of OTLP: gRPC and HTTP, which share one intake."""
