"""The help desk of ``examples/helpdesk`` in one container, and its customers, who come again every half minute.

Without keys of providers in the environment, a scripted provider answers. Where telemetry goes is in the environment,
and the key to show there in the file that ``OTEL_LLM_KEY_FILE`` names.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from helpdesk.customers import Customer, play
from helpdesk.processes import help_desk
from helpdesk.scripted import providers

PAUSE_S = 30.0
_KEYS = ("OPENAI_API_KEY", "GEMINI_API_KEY")
_log = logging.getLogger(__name__)


def main() -> None:
    """Run it until it is told to end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    key = Path(os.environ["OTEL_LLM_KEY_FILE"]).read_text(encoding="ascii").strip()
    folder = Path(os.environ.get("HELPDESK") or Path(tempfile.gettempdir()) / "helpdesk")
    with ExitStack() as stack:
        live = all(os.environ.get(name) for name in _KEYS)
        variables = {} if live else stack.enter_context(providers())
        variables["OTEL_EXPORTER_OTLP_HEADERS"] = f"x-api-key={key}"
        desk = stack.enter_context(help_desk(folder, variables))
        while not desk.processes.ended():
            for trace_id in play(desk.gateway, _show):
                _log.info("trace %s", trace_id)
            time.sleep(PAUSE_S)
        _log.error("%s ended by itself.", ", ".join(desk.processes.ended()))


def _show(customer: Customer, answer: str) -> None:
    _log.info("%s: %s\n  %s", customer.user, customer.question, answer)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with contextlib.suppress(KeyboardInterrupt):
        main()
