"""A collector in a process of its own, with any settings: ``python -m tests.support.serve '{"data": "…"}'``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from otel_llm.errors import OtelLLMError
from otel_llm_collector import app
from otel_llm_collector.settings import Forward, Settings

_PATHS = ("data", "tls_cert", "tls_key", "tls_client_ca")


def main() -> None:
    options = json.loads(sys.argv[1])
    forward = tuple(Forward(**one) for one in options.pop("forward", ()))
    paths = {name: Path(options.pop(name)) for name in _PATHS if options.get(name)}
    try:
        app.run(Settings(**options, **paths, forward=forward), lambda running: None)
    except OtelLLMError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
