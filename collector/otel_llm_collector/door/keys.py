"""``<data>/keys.json``: the keys that callers must show, as digests.

A key is a secret of 256 random bits behind ``ollm_``. The file never holds one: whoever reads it cannot call.
"""

from __future__ import annotations

import datetime
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from otel_llm_collector.errors import CollectorError
from otel_llm_collector.log.record import TENANT_LIMIT

PREFIX = "ollm_"
SCOPES = ("ingest", "read", "admin")
"""``ingest`` sends OTLP, ``read`` asks SQL, status and metrics, ``admin`` does everything."""
State = Literal["valid", "expired", "revoked"]
_NAME = re.compile(r"[\w.@-]{1,64}", re.ASCII)
_PERIOD = re.compile(r"(\d{1,6})([hdw])", re.ASCII)
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_HOURS = {"h": 1, "d": 24, "w": 168}


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret; times are ISO 8601 in UTC, empty for never."""

    name: str
    digest: str
    scopes: tuple[str, ...]
    created: str
    tenant: str = ""
    expires: str = ""
    revoked: str = ""

    @property
    def state(self) -> State:
        if self.revoked:
            return "revoked"
        return "expired" if self.expires and datetime.datetime.fromisoformat(self.expires) <= _now() else "valid"

    def may(self, scope: str) -> bool:
        """Whether it opens what the scope stands for."""
        return scope in self.scopes or "admin" in self.scopes


def digest(secret: str) -> str:
    """What the file keeps of a key. A random key needs no slow hash: there is nothing to guess."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def new_secret() -> str:
    """A key that nobody has."""
    return PREFIX + secrets.token_urlsafe(32)


class KeyFile:
    """The keys of a data folder. Every method raises ``CollectorError`` when the file cannot be used."""

    def __init__(self, data: Path) -> None:
        self.path = data / "keys.json"

    def read(self) -> tuple[Key, ...]:
        """All keys, revoked ones too; none where there is no file."""
        try:
            found = json.loads(self.path.read_bytes())
            keys = tuple(_key(entry) for entry in found["keys"])
        except OSError as error:
            if error.errno in _ABSENT:
                return ()
            raise CollectorError(f"{self.path} cannot be read: {error.strerror}.") from error
        except (ValueError, TypeError, KeyError) as error:
            raise CollectorError(f"{self.path} is no file of keys: {error}.") from error
        if len({key.name for key in keys}) < len(keys):
            raise CollectorError(f"{self.path} is no file of keys: two have the same name.")
        return keys

    def create(self, name: str, scopes: Sequence[str] = (), tenant: str = "", expires: str = "") -> str:
        """Make a key, for ``ingest`` where no scope is named; ``expires`` is a period such as 90d. Returns its secret,
        which is kept nowhere."""
        secret = new_secret()
        created = _now()
        key = Key(name, digest(secret), tuple(scopes) or ("ingest",), _text(created), tenant, _until(created, expires))
        _check(key)
        with self._changing() as keys:
            if any(other.name == name for other in keys):
                raise CollectorError(f"There is a key {name} already; a name is used once, even when it is revoked.")
            keys.append(key)
        return secret

    def revoke(self, name: str) -> None:
        """Make a key invalid for good; its name stays taken."""
        with self._changing() as keys:
            for index, key in enumerate(keys):
                if key.name == name:
                    keys[index] = replace(key, revoked=key.revoked or _text(_now()))
                    return
            raise CollectorError(f"There is no key {name}; see them with: otel-llm keys list")

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        """The keys, to be changed; written back in one step, on disk at the end. One process at a time."""
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                keys = list(self.read())
                yield keys
                content = json.dumps({"keys": [asdict(key) for key in keys]}, indent=2) + "\n"
                write_private(self.path, content)
            finally:
                os.close(handle)
        except OSError as error:
            raise CollectorError(f"{self.path} cannot be written: {error.strerror}.") from error


def write_private(path: Path, content: str) -> None:
    """Write a file for its owner only, in one step; it is on disk when this returns. Raises ``OSError``."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check(key: Key) -> None:
    """Raises ``CollectorError`` where a key cannot be."""
    if not _NAME.fullmatch(key.name):
        raise CollectorError(f"Name {key.name!r} is not usable: 1 to 64 letters, digits, or any of . _ @ -.")
    for scope in key.scopes:
        if scope not in SCOPES:
            raise CollectorError(f"Scope {scope} is not known: {', '.join(SCOPES)} are.")
    if not key.tenant:
        return
    if len(key.tenant.encode(errors="replace")) > TENANT_LIMIT or not key.tenant.isprintable():
        raise CollectorError(f"Tenant {key.tenant!r} is not usable: at most {TENANT_LIMIT} bytes of printable text.")
    if set(key.scopes) != {"ingest"}:
        raise CollectorError("A key with a tenant can have the scope ingest only: SQL cannot keep tenants apart.")


def _key(entry: Any) -> Key:
    """A key as the file tells it; raises ``ValueError``, ``TypeError`` or ``KeyError`` where it is none."""
    key = Key(**{**entry, "scopes": tuple(entry["scopes"])})
    for field in fields(key):
        if field.name != "scopes" and not isinstance(getattr(key, field.name), str):
            raise ValueError(f"{field.name} of a key must be text")
    for time in filter(None, (key.created, key.expires, key.revoked)):
        if datetime.datetime.fromisoformat(time).tzinfo is None:
            raise ValueError(f"{time} has no time zone")
    try:
        _check(key)
    except CollectorError as error:
        raise ValueError(str(error).rstrip(".")) from None
    return key


def _until(begin: datetime.datetime, period: str) -> str:
    if not period:
        return ""
    parts = _PERIOD.fullmatch(period)
    try:
        if parts and int(parts[1]):
            return _text(begin + datetime.timedelta(hours=int(parts[1]) * _HOURS[parts[2]]))
    except OverflowError:
        pass
    raise CollectorError(f"{period} is not a period: write hours, days or weeks, such as 12h, 90d or 52w.")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _text(time: datetime.datetime) -> str:
    return time.isoformat(timespec="seconds")
