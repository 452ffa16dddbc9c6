"""The errors of the collector: each message is a sentence for the person who runs it.

CollectorError (otel_llm.errors.OtelLLMError)
 ├─ StoreError             ClickHouse refused; ``code`` is its error number
 │   └─ StoreUnavailable   ClickHouse could not be reached, or could not be opened
 ├─ SchemaError            the tables in the store are not ones that this collector can use
 ├─ QueryRefused           a question that the read-only SQL endpoint does not answer
 ├─ LogFull                the log has no room: try again later
 ├─ AccessDenied           a caller without the key that it needs
 └─ Malformed              a request that is not OTLP
"""

from __future__ import annotations

from http import HTTPStatus

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
    """The read-only SQL endpoint does not answer this; the message says which part and why.

    ``code`` is the number of ClickHouse's own error that is nearest: 497 is ACCESS_DENIED.
    """

    def __init__(self, message: str, code: int = 497) -> None:
        super().__init__(message)
        self.code = code


class LogFull(CollectorError):
    """The log has no room for a record, on disk or in memory; the sender should try again."""


class AccessDenied(CollectorError):
    """A caller that is not let in; ``status`` is 401, 403, or 429 with the seconds after which it may try again."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.UNAUTHORIZED, retry_after: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Those of an HTTP answer."""
        if self.status == HTTPStatus.UNAUTHORIZED:
            return {"WWW-Authenticate": "Bearer"}
        return {"Retry-After": str(self.retry_after)} if self.retry_after else {}


class Malformed(CollectorError):
    """A request that can never be accepted."""
