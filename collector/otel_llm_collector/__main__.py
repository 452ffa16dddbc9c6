"""``python -m otel_llm_collector`` is the command ``otel-llm``."""

from .cli import main

main()
