"""``python -m helpdesk``: a collector, the help desk and its customers, then the tree of one customer's trace."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from helpdesk.customers import Customer, play
from helpdesk.processes import HelpDesk, help_desk, telemetry
from helpdesk.scripted import providers
from otel_llm_collector.cli.processes import Processes
from otel_llm_collector.errors import CollectorError
from otel_llm_collector.running import Running

_KEYS = ("OPENAI_API_KEY", "GEMINI_API_KEY")


def main() -> None:
    """Run it all, and end all that was started."""
    parser = argparse.ArgumentParser(prog="python -m helpdesk", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".otel-llm"), help="folder of the collector's data")
    parser.add_argument("--live", action="store_true", help=f"ask the real providers, with {' and '.join(_KEYS)}")
    parser.add_argument("--stay", action="store_true", help="stay up until Ctrl-C, for questions of your own")
    given = parser.parse_args()
    if given.live and (missing := [key for key in _KEYS if not os.environ.get(key)]):
        parser.error(f"--live needs the real providers' keys: set {' and '.join(missing)}.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            collector = _collector(stack, given.data)
            variables = {} if given.live else stack.enter_context(providers())
            with help_desk(given.data / "helpdesk", variables | telemetry(given.data, collector)) as desk:
                traces = play(desk.gateway, _show)
                desk.wait_for_worker()
                if given.stay:
                    _stay(desk)
            _tree(traces[0], given.data)
    except CollectorError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted.")


def _collector(stack: ExitStack, data: Path) -> Running:
    """The collector that runs on the folder, else a new one, on any ports that are free."""
    if running := Running.find(data):
        return running
    data.mkdir(parents=True, exist_ok=True)
    processes = stack.enter_context(Processes(data))
    ports = [text for name in ("grpc", "http", "api", "jaeger") for text in (f"--{name}-port", "0")]
    processes.start("collector", ["otel_llm_collector", "up", "--data", str(data), *ports], os.environ)
    return processes.wait_for("collector", partial(Running.find, data))


def _show(customer: Customer, answer: str) -> None:
    print(f"{customer.user}: {customer.question}\n  {answer}")


def _stay(desk: HelpDesk) -> None:
    print(f"The gateway is at {desk.gateway}. Ctrl-C ends it.", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()


def _tree(trace_id: str, data: Path) -> None:
    """One customer's trace; the services have ended, so that all of it has been sent."""
    print(f"\notel-llm trace {trace_id} --data {data}\n", flush=True)
    subprocess.run([sys.executable, "-m", "otel_llm_collector", "trace", trace_id, "--data", str(data)], check=True)


if __name__ == "__main__":
    main()
