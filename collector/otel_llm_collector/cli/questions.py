"""The questions of ``schemas/queries``, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_collector import schemas

if TYPE_CHECKING:
    from otel_llm_collector.client import Reader


def ask(reader: Reader, question: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows that answer a question; its file says which parameters it has."""
    return reader.query(schemas.read(f"queries/{question}.sql"), parameters)
