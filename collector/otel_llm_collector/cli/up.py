"""``otel-llm up``: run a collector."""

from __future__ import annotations

import logging
import os
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from .options import DATA, Data

if TYPE_CHECKING:
    from otel_llm_collector.running import Running

Store = Annotated[
    str | None,
    typer.Option(
        envvar="OTEL_LLM_STORE",
        help="clickhouse://user:password@host:8123/database, or chdb:///path; by default embedded, in the data folder.",
        show_envvar=True,
    ),
]


def up(
    data: Data = DATA,
    store: Store = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="OTLP/gRPC; 0 takes any free port.")] = 4317,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="OTLP/HTTP.")] = 4318,
    api_port: Annotated[int, typer.Option(min=0, max=65535, help="Status and read-only SQL.")] = 4319,
) -> None:
    """Collect spans into ClickHouse until stopped; what was accepted is stored before it ends."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own line about a port that is taken says less than ours
    from otel_llm_collector import app
    from otel_llm_collector.settings import Settings

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    settings = Settings(data=data, store=store, host=host, grpc_port=grpc_port, http_port=http_port, api_port=api_port)
    left = app.run(settings, lambda running: _announce(running, settings.data.as_posix(), host))
    kept = f"The store did not take everything; the rest is in {settings.log} for the next start."
    typer.echo(kept if left else "Everything accepted is stored.")


def _announce(running: Running, data: str, host: str) -> None:
    from rich.console import Console
    from rich.text import Text

    from otel_llm_collector.pages import is_loopback

    folder = "" if data == DATA.as_posix() else f" --data {shlex.quote(data)}"
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    head = (f"otel-llm {running.version}", "bold")
    console.print(Text.assemble(head, f" collects (pid {running.pid}); Ctrl-C stops it."))
    for name, where in (
        ("OTLP/gRPC", running.grpc),
        ("OTLP/HTTP", running.http),
        ("API, SQL", running.api),
        ("Store", running.store),
        ("Look", f"otel-llm calls{folder}"),
        ("Ask", f"otel-llm sql{folder} 'SHOW TABLES'"),
    ):
        console.print(Text.assemble("  ", (f"{name:<10}", "bold"), f" {where}"))
    if not is_loopback(host):
        console.print(f"Anyone who reaches {host} can send spans and read them: there are no keys yet.", style="yellow")
