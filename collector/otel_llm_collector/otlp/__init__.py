"""OTLP messages at the door: JSON into protobuf, and what is set right before they are kept."""
