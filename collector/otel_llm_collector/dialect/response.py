"""How an answer, or an error, is written in ClickHouse's HTTP dialect."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from aiohttp import web

from otel_llm_collector.errors import CollectorError, QueryRefused, StoreError, StoreUnavailable
from otel_llm_collector.sql.query import Answer

from . import compression, native
from .request import Question

_NAME = "otel-llm"
_STATUS = {
    400: (6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676),
    401: (194,),
    403: (164, 192, 193, 497, 516),
    404: (46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511),
    408: (159,),
    413: (229,),
    501: (48,),
    503: (76, 202, 209, 439),
}
"""ClickHouse's own HTTP status by the number of its error, and 403 for READONLY; it is 500 for all others."""
_STATUS_OF = {code: status for status, codes in _STATUS.items() for code in codes}
_NAMES = {
    36: "BAD_ARGUMENTS",
    48: "NOT_IMPLEMENTED",
    62: "SYNTAX_ERROR",
    73: "UNKNOWN_FORMAT",
    81: "UNKNOWN_DATABASE",
    164: "READONLY",
    168: "TOO_BIG_AST",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    209: "SOCKET_TIMEOUT",
    216: "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
    229: "QUERY_IS_TOO_LARGE",
    457: "BAD_QUERY_PARAMETER",
    497: "ACCESS_DENIED",
    516: "AUTHENTICATION_FAILED",
}
_TEXTS = ("Pretty", "Vertical", "Markdown", "Values", "SQLInsert", "Null", "RawBLOB")
_LINES = re.compile(r"JSON\w*EachRow(?!WithProgress)\w*|JSONL|JSONLines|NDJSON|PrettyJSON\w+|PrettyNDJSON")


def encoded(question: Question, answer: Answer, go_on: Callable[[], None]) -> bytes:
    """The body as the client wants it; takes as long as the answer is large, and stops where ``go_on`` raises."""
    body = answer.body
    if answer.format == "Native" and question.revision >= native.REVISION:
        body = native.versioned(body, go_on)
    go_on()
    if question.frames:
        return compression.framed(body, question.frames)
    return compression.CODINGS[question.coding](body) if question.coding else body


def response(question: Question, answer: Answer, body: bytes) -> web.Response:
    """The answer with the headers that clients read."""
    summary = {
        "read_rows": answer.rows_read,
        "read_bytes": answer.bytes_read,
        "written_rows": 0,
        "written_bytes": 0,
        "total_rows_to_read": answer.rows_read,
        "elapsed_ns": int(answer.seconds * 1e9),
    }
    headers = {
        "Content-Type": content_type(answer.format),
        "X-ClickHouse-Format": answer.format,
        "X-ClickHouse-Timezone": question.settings.get("session_timezone") or "UTC",
        "X-ClickHouse-Summary": json.dumps({name: str(value) for name, value in summary.items()}),
        **_own(question.query_id),
    }
    if question.coding:
        headers["Content-Encoding"] = question.coding
        headers["Vary"] = "Accept-Encoding"
    return web.Response(body=body, headers=headers)


def failure(error: CollectorError, question: Question | None = None) -> web.Response:
    """An error as ClickHouse tells it: its number in a header, its words in the body.

    Clients that read frames read them in errors too, except where they may not have been let in.
    """
    code = error.code if isinstance(error, StoreError | QueryRefused) else None
    text = str(error)
    if isinstance(error, QueryRefused):
        text = f"Code: {code}. DB::Exception: {text} ({_NAMES[error.code]})"
    status = 503 if isinstance(error, StoreUnavailable) else _STATUS_OF.get(code or 0, 500)
    body = f"{text}\n".encode()
    if question is not None and question.frames and status not in (401, 403):
        body = compression.framed(body, question.frames)
    headers = {"Content-Type": "text/plain; charset=UTF-8", **_own(question.query_id if question else "")}
    if code is not None:
        headers["X-ClickHouse-Exception-Code"] = str(code)
    return web.Response(status=status, body=body, headers=headers)


def content_type(format: str) -> str:
    """The media type of a format."""
    if format.startswith("CSV"):
        return f"text/csv; charset=UTF-8; header={'present' if 'WithNames' in format else 'absent'}"
    if format.startswith(("TSV", "TabSeparated", "TSKV", "LineAsString")):
        return "text/tab-separated-values; charset=UTF-8"
    if _LINES.fullmatch(format):
        return "application/x-ndjson; charset=UTF-8"
    if format.startswith("JSON"):
        return "application/json; charset=UTF-8"
    if format == "XML":
        return "application/xml; charset=UTF-8"
    return "text/plain; charset=UTF-8" if format.startswith(_TEXTS) else "application/octet-stream"


def _own(query_id: str) -> dict[str, str]:
    names = {"X-ClickHouse-Server-Display-Name": _NAME}
    return {**names, "X-ClickHouse-Query-Id": query_id} if query_id else names
