"""What a request asks, and by whom."""

from __future__ import annotations

import re
import uuid
from base64 import b64decode
from dataclasses import dataclass

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from otel_llm_collector.door.access import bearer
from otel_llm_collector.errors import QueryRefused

from . import compression

_BAD_ARGUMENTS = 36
_NOT_IMPLEMENTED = 48
_SYNTAX_ERROR = 62
_UNKNOWN_DATABASE = 81
_READONLY = 164
_TOO_LARGE = 229
_INSERT = re.compile(rb"\s*INSERT\b", re.IGNORECASE)
_NAME = re.compile(r"\w+", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,18}")
_QUERY_ID = re.compile(r"[\x21-\x7e]{1,200}")
_NOT = frozenset({"", "0", "false"})
_CODINGS = ("", "identity", "gzip", "deflate")


@dataclass(frozen=True, slots=True)
class Question:
    """A statement and how its answer shall be written.

    ``coding`` is HTTP's, ``frames`` is the method of ClickHouse's own; both are empty for none, one is. ``revision`` is
    the version of the protocol by which Native blocks are read, 0 for those without a version.
    """

    sql: str
    parameters: dict[str, str]
    settings: dict[str, str]
    format: str
    query_id: str
    coding: str
    frames: str
    revision: int


async def question(request: web.Request, database: str) -> Question:
    """Read a request: the statement is in the body, in ``query=``, or begun there and ended here.

    Raises ``QueryRefused`` for one that cannot be read. Its body may be a form with ``query`` and ``param_…`` fields.
    """
    given, body = await _given(request)
    sql = "\n".join(filter(None, (given.pop("query", ""), body)))
    if not sql.strip():
        raise QueryRefused("The statement is empty.", _SYNTAX_ERROR)
    asked = given.pop("database", "") or request.headers.get("X-ClickHouse-Database", "")
    if asked not in ("", "default", database):
        raise QueryRefused(f"Database {asked} is not here; it is {database}.", _UNKNOWN_DATABASE)
    query_id = given.pop("query_id", "") or request.headers.get("X-ClickHouse-Query-Id", "") or str(uuid.uuid4())
    if not _QUERY_ID.fullmatch(query_id):
        raise QueryRefused("query_id must be 1 to 200 visible ASCII characters.", _BAD_ARGUMENTS)
    format = given.pop("default_format", None) or request.headers.get("X-ClickHouse-Format") or "TabSeparated"
    coding, frames = _compressed(request, given)
    version = given.pop("client_protocol_version", "0")
    if not _NUMBER.fullmatch(version):
        raise QueryRefused(f"client_protocol_version is {version!r}; it must be a number.", _BAD_ARGUMENTS)
    parameters = {name[6:]: given.pop(name) for name in list(given) if name.startswith("param_")}
    for name in parameters:
        if not _NAME.fullmatch(name):
            raise QueryRefused(f"param_{name} is not allowed: a name has letters, digits and _ only.", _BAD_ARGUMENTS)
    for name in ("user", "password"):
        given.pop(name, None)
    return Question(sql, parameters, given, format, query_id, coding, frames, int(version))


def credential(request: web.BaseRequest) -> str:
    """The secret that a request brings, in any of the ways of ClickHouse's clients; empty when it brings none.

    A bearer token, the password of Basic authentication, ``X-ClickHouse-Key`` or ``password=``.
    """
    authorization = request.headers.get("Authorization", "")
    if token := bearer(authorization):
        return token
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:
            return ""
    return request.headers.get("X-ClickHouse-Key") or request.query.get("password", "")


async def _given(request: web.Request) -> tuple[dict[str, str], str]:
    """What the address and a form say, each name once, and a body that is no form."""
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding not in _CODINGS:
        known = ", ".join(filter(None, _CODINGS))
        raise QueryRefused(f"Content-Encoding {coding} is not read here; {known} are.", _NOT_IMPLEMENTED)
    try:
        if request.content_type != "multipart/form-data":
            return dict(request.query), (await request.read()).decode()
        fields = dict(await request.post())
    except web.HTTPRequestEntityTooLarge:
        raise QueryRefused(f"A request may have {request.client_max_size} bytes.", _TOO_LARGE) from None
    except UnicodeDecodeError as error:
        if _INSERT.match(bytes(error.object)) or _INSERT.match(request.query.get("query", "").encode()):
            raise QueryRefused("Nothing can be inserted here: this endpoint only reads.", _READONLY) from None
        raise QueryRefused("The statement is not UTF-8.", _BAD_ARGUMENTS) from None
    except (AssertionError, HttpProcessingError, LookupError, ValueError, web.RequestPayloadError) as error:
        reason = " ".join(str(error).split()).removeprefix("400, message: ").rstrip(".")
        raise QueryRefused(f"The request cannot be read: {reason}.", _BAD_ARGUMENTS) from error
    form: dict[str, str] = {}
    for name, value in fields.items():
        if not isinstance(value, str):
            raise QueryRefused(f"{name} is a file: tables cannot be sent along here.", _NOT_IMPLEMENTED)
        form[name] = value
    return {**form, **request.query}, ""


def _compressed(request: web.Request, given: dict[str, str]) -> tuple[str, str]:
    """The content coding of the answer and the method of its frames."""
    if given.pop("decompress", "") not in _NOT:
        raise QueryRefused("decompress=1 is not supported: send the statement as it is.", _NOT_IMPLEMENTED)
    method = given.pop("network_compression_method", "lz4").lower()
    if given.pop("compress", "") not in _NOT:
        if method not in compression.METHODS:
            raise QueryRefused(f"network_compression_method is {method!r}; LZ4 and ZSTD are known.", _BAD_ARGUMENTS)
        return "", method
    if given.pop("enable_http_compression", "1") in _NOT:
        return "", ""
    return compression.accepted(request.headers.get("Accept-Encoding", "")), ""
