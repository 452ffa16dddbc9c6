"""What is known of a request when it comes in, from ASGI's scope and from WSGI's environ."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from otel_llm.messages import mended

#: Longest header that is read, in characters; it is that of W3C's baggage. Longest path and user agent that are kept.
_HEADER, _PATH, _AGENT = 8192, 1024, 256

_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

#: Where a request says that it is one of ours already, in ASGI's scope and WSGI's environ: its id.
KEY = "otel_llm.request_id"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request; ``headers`` by their names in lower case, each once."""

    method: str
    scheme: str
    path: str
    server: tuple[str, int | None] | None
    version: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_scope(cls, scope: MutableMapping[str, Any]) -> Incoming:
        """By ASGI."""
        headers = (
            scope["headers"] if isinstance(scope["headers"], list | tuple) else ()
        )  # what can be read once is the application's
        pairs = ((bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in headers)
        host, port = scope.get("server") or (None, None)
        return cls(
            method=scope.get("method", "GET"),  # that of a websocket's handshake
            scheme=scope.get("scheme", "http"),
            path=scope.get("path", ""),
            server=(host, port) if host else None,
            version=scope.get("http_version", ""),
            headers=_joined(pairs),
        )

    @classmethod
    def of_environ(cls, environ: Mapping[str, Any]) -> Incoming:
        """By WSGI, whose texts are bytes in the guise of ISO-8859-1."""
        pairs = ((name[5:].replace("_", "-"), value) for name, value in environ.items() if _is_header(name, value))
        path = str(environ.get("SCRIPT_NAME", "")) + str(environ.get("PATH_INFO", ""))
        host, port = environ.get("SERVER_NAME"), str(environ.get("SERVER_PORT", ""))
        return cls(
            method=environ.get("REQUEST_METHOD", "GET"),
            scheme=environ.get("wsgi.url_scheme", "http"),
            path=path.encode("latin-1", "replace").decode(errors="replace"),
            server=(host, int(port) if port.isascii() and port.isdigit() else None) if host else None,
            version=str(environ.get("SERVER_PROTOCOL", "")).removeprefix("HTTP/"),
            headers=_joined(pairs),
        )

    def request_id(self) -> str | None:
        """``X-Request-ID``, where it is one."""
        return valid_request_id(self.headers.get("x-request-id", ""))

    @property
    def verb(self) -> str:
        """The method as names of spans have it, which know only so many."""
        return self.method if self.method in _METHODS else "HTTP"

    def attributes(self) -> dict[str, Any]:
        """By the stable conventions of HTTP. Without the query, in which people write what they look for."""
        found: dict[str, Any] = {"url.scheme": mended(self.scheme), "url.path": mended(self.path[:_PATH])}
        if self.method in _METHODS:
            found["http.request.method"] = self.method
        else:
            found |= {"http.request.method": "_OTHER", "http.request.method_original": mended(self.method[:_AGENT])}
        if self.server is not None:
            found["server.address"] = self.server[0]
            if self.server[1] is not None:
                found["server.port"] = self.server[1]
        if self.version:
            found["network.protocol.version"] = self.version
        if agent := self.headers.get("user-agent"):
            found["user_agent.original"] = agent[:_AGENT]
        return found


def _is_header(name: object, value: object) -> bool:
    """Whether something in an environ is a header; applications add things of their own, of any type."""
    return isinstance(name, str) and name.startswith("HTTP_") and isinstance(value, str)


def valid_request_id(given: str) -> str | None:
    """A text, where it may be the id of a request: 1 to 128 letters, digits, dots, underscores, colons, hyphens."""
    return given if _REQUEST_ID.fullmatch(given) else None


def new_request_id() -> str:
    """An id for a request that has none: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by name; one that comes several times is one, as HTTP has it, and one that is too long is none."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    return {name: value for name, value in headers.items() if len(value) <= _HEADER}
