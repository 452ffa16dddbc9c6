"""``python -m otel_llm_collector`` is the command ``otel-llm``."""

from otel_llm_collector.cli import main

main()
