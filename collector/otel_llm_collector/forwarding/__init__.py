"""Segments sent on, as they are, to other OTLP endpoints."""
