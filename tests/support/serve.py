"""A collector in a process of its own, with any settings: ``python -m tests.support.serve '{"data": "…"}'``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from otel_llm.errors import OtelLLMError
from otel_llm_collector import app
from otel_llm_collector.settings import Settings


def main() -> None:
    options = json.loads(sys.argv[1])
    try:
        app.run(Settings(**{**options, "data": Path(options["data"])}), lambda running: None)
    except OtelLLMError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
