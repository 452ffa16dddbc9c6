"""``otel-llm doctor``: is everything wired?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .options import DATA, Data, Json

if TYPE_CHECKING:
    from .diagnosis import Finding

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(data: Data = DATA, as_json: Json = False) -> None:
    """Is everything wired: SDKs, patches, other instrumentors, exporter, collector, store, settings."""
    from .diagnosis import diagnose

    findings = diagnose(Path(data))
    if as_json:
        typer.echo(json.dumps([{"check": f.check, "state": f.state, "text": f.text} for f in findings]))
    else:
        _print(findings)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    from .show import console

    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row(Text(finding.state, style=_STYLES[finding.state]), finding.check, finding.text)
    console().print(table)
