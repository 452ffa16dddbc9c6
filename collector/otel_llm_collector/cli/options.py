"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path, typer.Option(help="Folder of the collector's log and of the embedded store.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
JaegerUrl = Annotated[
    str | None,
    typer.Option(
        envvar="OTEL_LLM_JAEGER_URL",
        help="Where Jaeger's pages are, for links to them, such as http://localhost:16686.",
        show_envvar=True,
    ),
]

#: The folder when none is named.
DATA = Path(".otel-llm")
