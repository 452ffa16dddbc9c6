"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path, typer.Option(help="Folder of the collector's log and of the embedded store.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

#: The folder when none is named.
DATA = Path(".otel-llm")
