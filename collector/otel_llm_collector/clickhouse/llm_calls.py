"""The columns of ``llm_calls`` that come from the attribute dictionary.

A column is an expression over the map of attributes, which holds text as ``otel_traces`` does: a ``DEFAULT`` where it
is stored with the row, an ``ALIAS`` where it is worked out when it is read. A line that is new in the dictionary is one
``ALTER TABLE``, and rows that are already there show it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from otel_llm.attributes import BY_NAME, CALL_ID, STORED, Attribute, columns
from otel_llm_collector.errors import SchemaError

from .store import Store, literal

_NUMBERS = {
    "UInt8": "toUInt8OrZero",
    "UInt16": "toUInt16OrZero",
    "Nullable(UInt32)": "toUInt32OrNull",
    "Nullable(UInt64)": "toUInt64OrNull",
    "Nullable(Int64)": "toInt64OrNull",
    "Nullable(Float32)": "toFloat32OrNull",
    "Nullable(Float64)": "toFloat64OrNull",
}
_TRUE = "('true', 'True', '1')"
_HANDLE = "concat('00-', trace_id, '-', span_id, '-01')"
"""The handle of a call: the W3C traceparent of its span, which is on no span of its own."""


@dataclass(frozen=True, slots=True)
class Column:
    """A derived column: ``expression`` computes it from the others."""

    name: str
    type: str
    expression: str
    comment: str
    stored: bool

    @property
    def definition(self) -> str:
        """The column as ``ALTER TABLE … ADD COLUMN`` takes it."""
        start, end = f"{self.name} {self.type}", f"{self.expression} COMMENT {literal(self.comment)}"
        return f"{start} DEFAULT {end} CODEC(ZSTD(1))" if self.stored else f"{start} ALIAS {end}"


def expression(attribute: Attribute) -> str:
    """The SQL that reads an attribute out of the map, as its column's type."""
    where = "resource_attributes" if attribute.resource else "attributes"
    if attribute.kind == "map":
        return _family(attribute, where)
    text = _text(where, (attribute.name, *attribute.aliases))
    kind = attribute.type or ""
    if attribute is CALL_ID:
        return f"if({text} = '', {_HANDLE}, {text})"
    if kind in ("String", "LowCardinality(String)"):
        return text
    if kind == "Bool":
        return f"{text} IN {_TRUE}"
    if kind == "Nullable(Bool)":
        return f"if({text} = '', NULL, {text} IN {_TRUE})"
    if kind == "Nullable(Decimal(18, 9))":
        return f"toDecimal64OrNull(toString(round(toFloat64OrNull({text}), 9)), 9)"
    if kind.startswith("Array("):
        return f"if(startsWith({text}, '['), JSONExtract({text}, {literal(kind)}), if({text} = '', [], [{text}]))"
    if kind in _NUMBERS:
        return f"{_NUMBERS[kind]}({text})"
    raise SchemaError(f"Attribute {attribute.name} has a column of type {kind}, which has no expression yet.")


def _text(where: str, names: tuple[str, ...]) -> str:
    """The first of the names that the map has, as text; empty where it has none."""
    reads = [f"{where}[{literal(name)}]" for name in names]
    if len(reads) == 1:
        return reads[0]
    tests = (f"mapContains({where}, {literal(name)}), {read}" for name, read in zip(names, reads, strict=True))
    return f"multiIf({', '.join(tests)}, '')"


def _family(attribute: Attribute, where: str) -> str:
    """Every key below the prefix, without it, but for names that the dictionary knows by themselves."""
    prefix = literal(attribute.name)
    known = sorted(name for name in BY_NAME if name.startswith(attribute.name) and name != attribute.name)
    others = f" AND k NOT IN ({', '.join(map(literal, known))})" if known else ""
    return (
        f"mapApply((k, v) -> (substring(k, {len(attribute.name) + 1}), v), "
        f"mapFilter((k, v) -> startsWith(k, {prefix}){others}, {where}))"
    )


def derived() -> Iterator[Column]:
    """The derived columns, in the dictionary's order."""
    for attribute in columns():
        yield Column(
            attribute.column or "",
            attribute.type or "",
            expression(attribute),
            attribute.sentence,
            attribute in STORED,
        )
    total = "ifNull(input_tokens, 0) + ifNull(output_tokens, 0)"
    yield Column("total_tokens", "UInt64", total, "Input and output tokens together.", stored=True)


def sync(store: Store) -> list[str]:
    """Add the columns that ``llm_calls`` lacks and correct comments; returns the names of the columns added."""
    table = store.rows(
        "SELECT name, type, comment FROM system.columns WHERE database = currentDatabase() AND table = 'llm_calls'"
    )
    if not table:
        return []
    present = {row["name"]: row for row in table}
    added: list[str] = []
    changes: list[str] = []
    after = "status_message"
    for column in derived():
        old = present.get(column.name)
        if old is None:
            changes.append(f"ADD COLUMN IF NOT EXISTS {column.definition} AFTER {after}")
            added.append(column.name)
        elif old["type"] != column.type:
            raise SchemaError(
                f"Column {column.name} of llm_calls is {old['type']} in the store and {column.type} in the attribute "
                "dictionary; a change of type needs a numbered migration."
            )
        elif old["comment"] != column.comment:
            changes.append(f"COMMENT COLUMN {column.name} {literal(column.comment)}")
        after = column.name
    if changes:
        store.define(f"ALTER TABLE llm_calls {', '.join(changes)}")
    return added
