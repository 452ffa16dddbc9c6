"""``otel-llm keys``: the keys that callers of a collector must show."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .options import DATA, Data, Json

Name = Annotated[str, typer.Argument(help="Who has the key: letters, digits, and . _ @ -.")]

app = typer.Typer(no_args_is_help=True, help="Keys of callers: as soon as there is one, every caller needs one.")


@app.command()
def create(
    name: Name,
    scope: Annotated[
        list[str] | None, typer.Option(help="ingest (default), read or admin; may be given again.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose everything is that is sent with it; for ingest only.")] = "",
    expires: Annotated[str, typer.Option(help="A period: 12h, 90d or 52w; without, it is valid for good.")] = "",
    data: Data = DATA,
) -> None:
    """Make a key and print it: it is kept nowhere."""
    from otel_llm_collector.door.keys import KeyFile

    typer.echo(KeyFile(data).create(name, scope or (), tenant, expires))


@app.command("list")
def show(data: Data = DATA, as_json: Json = False) -> None:
    """All keys by name, those that are not valid any more too."""
    from otel_llm_collector.door.keys import KeyFile

    rows = [
        {
            "name": key.name,
            "scopes": list(key.scopes),
            "tenant": key.tenant,
            "created": key.created,
            "expires": key.expires,
            "state": key.state,
        }
        for key in KeyFile(data).read()
    ]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    if not rows:
        typer.echo(f"There are no keys in {data}: whoever reaches the collector can use it.")
        return
    from rich.table import Table
    from rich.text import Text

    from .show import console

    table = Table("name", "scopes", "tenant", "created", "expires", "state")
    for row in rows:
        texts = (", ".join(value) if isinstance(value, list) else value for value in row.values())
        table.add_row(*(Text(str(text)) for text in texts), style="" if row["state"] == "valid" else "dim")
    console().print(table)


@app.command()
def revoke(name: Name, data: Data = DATA) -> None:
    """Make a key invalid, within a second; its name stays taken."""
    from otel_llm_collector.door.keys import KeyFile

    KeyFile(data).revoke(name)
    typer.echo(f"Key {name} is revoked.")
