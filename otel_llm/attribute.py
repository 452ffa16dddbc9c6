"""What a row of the attribute dictionary is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["string", "int", "double", "bool", "string[]", "map"]
Source = Literal["stable", "development", "candidate", "own"]

LC = "LowCardinality(String)"
LC_ARRAY = "Array(LowCardinality(String))"
COUNT = "Nullable(UInt64)"
MONEY = "Nullable(Decimal(18, 9))"
RATIO = "Nullable(Float64)"
INTEGER = "Nullable(Int64)"


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """One row of the dictionary.

    ``kind`` is the type of the value on the span; ``map`` is a family of keys that share the prefix ``name``.
    ``aliases`` are names that other or older instrumentations use for the same thing, read when ``name`` is absent.
    """

    name: str
    kind: Kind
    sentence: str
    column: str | None = None
    type: str | None = None
    source: Source = "development"
    content: bool = False
    label: bool = False
    resource: bool = False
    aliases: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def own(
    name: str,
    kind: Kind,
    sentence: str,
    column: str | None = None,
    type: str | None = None,
    *,
    content: bool = False,
    label: bool = False,
    resource: bool = False,
    aliases: tuple[str, ...] = (),
) -> Attribute:
    """A row of our own, below ``otel_llm.``."""
    return Attribute(f"otel_llm.{name}", kind, sentence, column, type, "own", content, label, resource, aliases)
