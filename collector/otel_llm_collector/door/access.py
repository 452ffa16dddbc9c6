"""Who may do what: keys, and who has none."""

from __future__ import annotations

import hmac
import math
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus

from otel_llm_collector.errors import AccessDenied, CollectorError
from otel_llm_collector.pages import is_loopback
from otel_llm_collector.settings import Settings

from .keys import Key, KeyFile, digest
from .peers import Guesses
from .watched import Watched

INGEST, READ = "ingest", "read"
_SECRET_LIMIT = 512
_INDEX = 16


def bearer(authorization: str) -> str:
    """The token of an ``Authorization`` that brings one; empty otherwise."""
    scheme, _, value = authorization.partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


class Access:
    """Lets callers in by their keys; everybody, as long as there is no key. Keys that change count within a second."""

    def __init__(self, settings: Settings, own: str) -> None:
        """``own`` is the key of commands on this machine. Raises ``CollectorError`` where the file of keys is broken,
        or where others could reach a collector without keys that was not told to let anyone in."""
        self._file = KeyFile(settings.data)
        self._had_keys = False
        self._keys = Watched([self._file.path], self._load)
        self._own = digest(own)
        self._guesses = Guesses(settings.key_failures)
        self.refused: Counter[str] = Counter()
        """Requests that were not let in, by reason."""
        if not (self.required or is_loopback(settings.host) or settings.tls_client_ca or settings.allow_anyone):
            raise CollectorError(
                f"Others can reach {settings.host}, and there are no keys: make one with `otel-llm keys create NAME`, "
                "ask for certificates with --tls-client-ca, or say --allow-anyone."
            )

    @property
    def required(self) -> bool:
        """Whether a key is needed: as soon as one was ever made."""
        return bool(self._keys.get())

    def tenant(self, secret: str, scope: str) -> str | None:
        """Whose a request is that shows this key, empty for nobody's; ``None`` when it is not let in."""
        if not self.required or self._is_own(secret):
            return ""
        key = self._find(secret)
        return key.tenant if key is not None and key.state == "valid" and key.may(scope) else None

    def denial(self, secret: str, scope: str, peer: str) -> AccessDenied:
        """Why a caller is not let in, and counts it."""
        reason, error = self._why(secret, scope, peer)
        self.refused[reason] += 1
        return error

    def _why(self, secret: str, scope: str, peer: str) -> tuple[str, AccessDenied]:
        if not secret:
            return "missing", AccessDenied("A key is needed: send it as x-api-key, or as Authorization: Bearer.")
        key = self._find(secret)
        if key is None:
            wait = self._guesses.add(peer)
            if wait:
                status, seconds = HTTPStatus.TOO_MANY_REQUESTS, math.ceil(wait)
                return "locked", AccessDenied("Too many keys that are none came from here.", status, seconds)
            return "unknown", AccessDenied("This key is not known here.")
        if key.state != "valid":
            return key.state, AccessDenied(f"Key {key.name} is {key.state}.")
        return "scope", AccessDenied(f"Key {key.name} has not the scope {scope}.", HTTPStatus.FORBIDDEN)

    def _is_own(self, secret: str) -> bool:
        return hmac.compare_digest(digest(secret), self._own)

    def _find(self, secret: str) -> Key | None:
        """Found by the first part of its digest and compared by the whole: the time it takes tells nothing of a key."""
        if len(secret) > _SECRET_LIMIT:
            return None
        shown = digest(secret)
        key = self._keys.get().get(shown[:_INDEX])
        return key if key is not None and hmac.compare_digest(key.digest, shown) else None

    def _load(self) -> Mapping[str, Key]:
        keys = {key.digest[:_INDEX]: key for key in self._file.read()}
        if self._had_keys and not keys:
            raise CollectorError(f"{self._file.path} has no keys any more: to go on without, start again.")
        self._had_keys = bool(keys)
        return keys
