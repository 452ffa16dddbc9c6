"""The columns of ``llm_calls`` that come from the attribute dictionary.

A column is an expression over the map of attributes, which holds text as ``otel_traces`` does: a ``DEFAULT`` where it
is stored with the row, an ``ALIAS`` where it is worked out when it is read. A line that is new in the dictionary is one
``ALTER TABLE``, and rows that are already there show it too. So is one that reads other names than before, but what is
stored already stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from otel_llm.attributes import BY_NAME, CALL_ID, STORED, Attribute, columns
from otel_llm_collector import schemas
from otel_llm_collector.errors import SchemaError

from .store import Store, literal

COUNT_DIGITS = 12
"""A count with more digits is none: one that is made up must not turn a sum of 64 bits over."""
_NUMBERS = {
    "UInt8": "toUInt8OrZero",
    "UInt16": "toUInt16OrZero",
    "Nullable(UInt32)": "toUInt32OrNull",
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
    def kind(self) -> str:
        """What ClickHouse calls how it is worked out."""
        return "DEFAULT" if self.stored else "ALIAS"

    @property
    def definition(self) -> str:
        """The column as ``ALTER TABLE … ADD COLUMN`` takes it."""
        plain = f"{self.name} {self.type} {self.kind} {self.expression} COMMENT {literal(self.comment)}"
        return f"{plain} CODEC(ZSTD(1))" if self.stored else plain


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
    if kind == "Nullable(UInt64)":
        return f"if(length({text}) > {COUNT_DIGITS}, NULL, toUInt64OrNull({text}))"
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
    """Bring the columns of ``llm_calls`` to what the dictionary says; returns those that are new or made otherwise."""
    columns = list(derived())
    present = _present(store, columns)
    if not present:
        return []
    found: list[str] = []
    before: list[str] = []
    changes: list[str] = []
    after = "status_message"
    for column in columns:
        old = present.get(column.name)
        if old is None:
            changes.append(f"ADD COLUMN IF NOT EXISTS {column.definition} AFTER {after}")
            found.append(column.name)
        elif old["type"] != column.type:
            raise SchemaError(
                f"Column {column.name} of llm_calls is {old['type']} in the store and {column.type} in the attribute "
                "dictionary; a change of type needs a numbered migration."
            )
        elif old["kind"] and not (old["kind"] == column.kind and old["is_as_wanted"]):
            if old["kind"] == "DEFAULT" and not column.stored:  # then it has a codec, which an alias may not have
                before.append(f"MODIFY COLUMN {replace(column, stored=True).definition}")
                changes.append(f"MODIFY COLUMN {column.name} REMOVE CODEC")
            changes.append(f"MODIFY COLUMN {column.definition}")
            found.append(column.name)
        elif old["comment"] != column.comment:
            changes.append(f"COMMENT COLUMN {column.name} {literal(column.comment)}")
        after = column.name
    # On a cluster this may have broken off between its two tables: so there is a codec in both to be removed.
    for statement in (before, changes):
        if statement:
            store.define(f"ALTER TABLE llm_calls {', '.join(statement)}")
    return found


def _present(store: Store, columns: Iterable[Column]) -> dict[str, dict[str, Any]]:
    """The columns of the table by name; none where there is no table."""
    wanted = ", ".join(f"({literal(column.name)}, {literal(column.expression)})" for column in columns)
    asked = schemas.read("llm_calls_columns.sql").replace("{wanted}", f"[{wanted}]")
    return {row["name"]: row for row in store.rows(asked)}
