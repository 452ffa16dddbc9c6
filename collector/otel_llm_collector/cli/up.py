"""``otel-llm up``: run a collector."""

from __future__ import annotations

import logging
import os
import resource
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import DATA, JaegerUrl

if TYPE_CHECKING:
    from otel_llm_collector.running import Running
    from otel_llm_collector.settings import Settings

Store = Annotated[
    str | None,
    typer.Option(
        envvar="OTEL_LLM_STORE",
        help="clickhouse://user:password@host:8123/database, or chdb:///path; by default embedded, in the data folder.",
        show_envvar=True,
    ),
]


def up(
    config: Annotated[Path | None, typer.Option(help="TOML file with any setting; options win over it.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the log and of the embedded store [.otel-llm].")] = None,
    store: Store = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    grpc_port: Annotated[int | None, typer.Option(min=0, max=65535, help="OTLP/gRPC; 0 is any [4317].")] = None,
    http_port: Annotated[int | None, typer.Option(min=0, max=65535, help="OTLP/HTTP [4318].")] = None,
    api_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Status and read-only SQL [4319].")] = None,
    jaeger_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Storage that Jaeger reads, over gRPC [17271].")
    ] = None,
    jaeger_url: JaegerUrl = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate of all ports, in PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, in PEM.")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="Whose certificates clients must show, in PEM.")] = None,
    allow_anyone: Annotated[
        bool | None, typer.Option("--allow-anyone", help="Listen where others reach it without keys.")
    ] = None,
    forward: Annotated[list[str] | None, typer.Option(help="Another OTLP endpoint that gets everything too.")] = None,
) -> None:
    """Collect OTLP into ClickHouse until stopped; what was accepted is stored before it ends."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own line about a port that is taken says less than ours
    from otel_llm_collector import app
    from otel_llm_collector.config import read
    from otel_llm_collector.settings import Forward, Settings

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    given: dict[str, Any] = {
        "data": data, "store": store, "host": host, "grpc_port": grpc_port, "http_port": http_port,
        "api_port": api_port, "jaeger_port": jaeger_port, "jaeger_url": jaeger_url,
        "tls_cert": tls_cert, "tls_key": tls_key, "tls_client_ca": tls_client_ca,
        "allow_anyone": allow_anyone, "forward": tuple(map(Forward, forward)) if forward else None,
    }  # fmt: skip
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = Settings(**{**(read(config) if config else {}), **chosen})
    _allow_files()
    left = app.run(settings, lambda running: _announce(running, settings))
    kept = f"The store did not take everything; the rest is in {settings.log} for the next start."
    typer.echo(kept if left else "Everything accepted is stored.")


def _allow_files() -> None:
    """Connections are open files, and the log needs some that they must not take."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _announce(running: Running, settings: Settings) -> None:
    from rich.console import Console
    from rich.text import Text

    from otel_llm_collector.door.keys import KeyFile
    from otel_llm_collector.pages import is_loopback

    data = settings.data.as_posix()
    folder = "" if data == DATA.as_posix() else f" --data {shlex.quote(data)}"
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    head = (f"otel-llm {running.version}", "bold")
    console.print(Text.assemble(head, f" collects (pid {running.pid}); Ctrl-C stops it."))
    for name, where in (
        ("OTLP/gRPC", running.grpc),
        ("OTLP/HTTP", running.http),
        ("API, SQL", running.api),
        ("For Jaeger", running.jaeger),
        ("Store", running.store),
        ("Look", f"otel-llm calls{folder}"),
        ("Ask", f"otel-llm sql{folder} 'SHOW TABLES'"),
    ):
        console.print(Text.assemble("  ", (f"{name:<10}", "bold"), f" {where}"))
    if is_loopback(settings.host):
        return
    if not KeyFile(settings.data).read() and settings.tls_client_ca is None:
        console.print(f"Anyone who reaches {settings.host} can send and read everything.", style="yellow")
    elif settings.tls_cert is None:
        console.print("There is no TLS: keys and data can be read on their way.", style="yellow")
