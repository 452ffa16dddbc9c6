"""The errors of the collector: each message is a sentence for the person who runs it.

CollectorError (otel_llm.errors.OtelLLMError)
 ├─ StoreError             ClickHouse refused; ``code`` is its error number
 │   └─ StoreUnavailable   ClickHouse could not be reached, or could not be opened
 ├─ SchemaError            the tables in the store are not ones that this collector can use
 ├─ QueryRefused           a question that the read-only SQL endpoint does not answer
 ├─ LogFull                the log has no room: try again later
 └─ Malformed              a request that is not OTLP
"""

from __future__ import annotations

from otel_llm.errors import OtelLLMError


class CollectorError(OtelLLMError):
    """Something that the person at the keyboard can understand and mend."""


class StoreError(CollectorError):
    """ClickHouse answered with an error; ``code`` is its number where it gave one."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class StoreUnavailable(StoreError):
    """ClickHouse could not be reached or opened."""


class SchemaError(CollectorError):
    """The tables in the store are newer, changed or otherwise not ones that this collector can use."""


class QueryRefused(CollectorError):
    """The read-only SQL endpoint does not answer this statement; the message says which part and why."""


class LogFull(CollectorError):
    """The log has no room for a record, on disk or in memory; the sender should try again."""


class Malformed(CollectorError):
    """A request that can never be accepted."""
