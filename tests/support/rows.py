"""Rows that are in a store against rows that should be."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from otel_llm_collector.clickhouse.store import Store, literal

from .reference import Row, Rows, double

_SHOWN = 5
_ALMOST = 3
"""In how many columns two rows may differ to be shown as one that went wrong."""


def differences(store: Store, rows: Rows) -> list[str]:
    """What is missing, extra or different in the tables that ``rows`` names, in a few lines; empty when nothing is."""
    found: list[str] = []
    for table, wanted in rows.items():
        columns = _columns(store, table)
        if wanted and columns.keys() != wanted[0].keys():
            found.append(f"{table}: columns {sorted(columns.keys() ^ wanted[0].keys())} are on one side only")
            continue
        stored = Counter(_text(row) for row in store.rows(f"SELECT {', '.join(columns.values())} FROM {table}"))
        expected = Counter(_text(row) for row in wanted)
        missing, extra = list((expected - stored).elements()), list((stored - expected).elements())
        if missing or extra:
            found.append(f"{table}: of {len(wanted)} rows {len(missing)} are missing, {len(extra)} are there besides")
            found += [_nearest(json.loads(text), extra) for text in missing[:_SHOWN]]
            found += [f"besides: {text[:1000]}" for text in extra[:_SHOWN] if not missing]
    return found


def _columns(store: Store, table: str) -> dict[str, str]:
    """The columns that are stored as they are sent, each with an expression that JSON loses nothing of."""
    described = store.rows(
        f"SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {literal(table)} "
        "AND default_kind NOT IN ('ALIAS', 'MATERIALIZED')"
    )
    quoted = {row["name"]: (f"`{row['name']}`", row["type"]) for row in described}
    return {name: f"{_exact(column, type)} AS {column}" for name, (column, type) in quoted.items()}


def _exact(column: str, type: str) -> str:
    if type.startswith("Map("):
        return f"CAST({column}, 'Array(Tuple(String, String))')"
    if type == "Float64":
        return f"toString({column})"
    if type.startswith(("Array(Map(", "Array(Float64")):
        return f"arrayMap(x -> {_exact('x', type.removeprefix('Array(').removesuffix(')'))}, {column})"
    return column


def _text(row: Row) -> str:
    return json.dumps({name: _plain(value) for name, value in row.items()}, sort_keys=True)


def _plain(value: Any) -> Any:
    """A value as JSON has it; a float is the text that ClickHouse makes of it."""
    if isinstance(value, float):
        return double(value).lower().removeprefix("+")
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _nearest(row: Row, others: list[str]) -> str:
    """Where a row that is missing differs from the one that is most like it."""
    apart = [{name for name in row if row[name] != other[name]} for other in map(json.loads, others)]
    best = min(range(len(apart)), key=lambda index: len(apart[index]), default=None)
    if best is None or len(apart[best]) > _ALMOST:
        return f"missing: {json.dumps(row)[:1000]}"
    other = json.loads(others[best])
    return "; ".join(f"{name}: {str(other[name])[:300]} instead of {str(row[name])[:300]}" for name in apart[best])
