"""``otel-llm status``: how a collector that runs is doing, on a live screen."""

from __future__ import annotations

import json
import sys
import time
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import DATA, Data

if TYPE_CHECKING:
    from otel_llm_collector.running import Running

_EVERY_S = 1.0


def status(
    data: Data = DATA,
    once: Annotated[bool, typer.Option("--once", help="Print it once, with the rates of one second.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the collector says as JSON, once.")] = False,
) -> None:
    """What the collector takes, stores and has waiting, every second; Ctrl-C leaves."""
    from otel_llm_collector.errors import CollectorError
    from otel_llm_collector.running import Running

    running = Running.find(data)
    if running is None:
        raise CollectorError(f"No collector runs on {data}; start one with: otel-llm up --data {data}")
    if as_json:
        typer.echo(json.dumps(_asked(running, data), indent=2))
    elif once or not sys.stdout.isatty():
        _print(running, data)
    else:
        _watch(running, data)


def _print(running: Running, data: Path) -> None:
    from .screen import Screen
    from .show import console

    screen = Screen()
    screen.add(_asked(running, data))
    time.sleep(_EVERY_S)
    screen.add(_asked(running, data))
    console().print(screen)


def _watch(running: Running, data: Path) -> None:
    from rich.live import Live

    from .screen import Screen
    from .show import console

    screen = Screen()
    screen.add(_asked(running, data))
    try:
        with Live(screen, console=console(), auto_refresh=False, vertical_overflow="visible") as live:
            while True:
                live.refresh()
                time.sleep(_EVERY_S)
                screen.add(_asked(running, data))
    except KeyboardInterrupt:
        return


def _asked(running: Running, data: Path) -> dict[str, Any]:
    from otel_llm_collector.errors import CollectorError
    from otel_llm_collector.running import status_of

    try:
        return status_of(running, data)
    except (OSError, HTTPException, ValueError) as error:
        raise CollectorError(
            f"The collector of {data} does not answer any more: {error}. Start it again with: otel-llm up --data {data}"
        ) from error
