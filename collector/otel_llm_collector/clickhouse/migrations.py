"""Numbered schema files, each applied once, in order.

``schemas/migrations/000N_name.sql`` holds statements that end with a semicolon at the end of a line. Every statement
must be harmless when run again, because a crash may come between it and its record. A file that was applied never
changes: a new one follows it. What several files have in common is in ``schemas/parts``, and stands in a file where a
line ``-- include name`` is; a part is as unchangeable as the files that it is in.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from otel_llm_collector import schemas
from otel_llm_collector.errors import SchemaError

from . import llm_calls
from .store import Store

_NAME = re.compile(r"(\d{4})_(\w+)\.sql")

_RECORD = """
CREATE TABLE IF NOT EXISTS otel_llm_migrations
(
    version UInt32,
    name String,
    checksum String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY version
"""
_APPLIED = """
INSERT INTO otel_llm_migrations (version, name, checksum)
SELECT {version:UInt32}, {name:String}, {checksum:String}
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self) -> list[str]:
        return [part.strip() for part in re.split(r";[ \t]*(?:\n|$)", self.text) if part.strip()]


def available(folder: Path | None = None) -> list[Migration]:
    """The files, in order."""
    found = []
    for path in sorted((folder or schemas.folder() / "migrations").glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if not match:
            raise SchemaError(f"{path.name} is not named like 0001_name.sql.")
        found.append(Migration(int(match[1]), match[2], schemas.whole(path.read_text(encoding="utf-8"))))
    return found


def migrate(store: Store, folder: Path | None = None) -> list[str]:
    """Bring the store up to date; returns the names of the files that were applied now."""
    store.define(_RECORD)
    applied = {
        int(row["version"]): row
        for row in store.rows("SELECT version, any(name) AS name, any(checksum) AS checksum "
                              "FROM otel_llm_migrations GROUP BY version")
    }  # fmt: skip
    files = available(folder)
    newest = max((migration.version for migration in files), default=0)
    if ahead := [version for version in applied if version > newest]:
        raise SchemaError(
            f"The schema of the store is at version {max(ahead)}; this otel-llm knows versions up to {newest}. "
            "Upgrade otel-llm, or point it at another store."
        )
    llm_calls.sync(store)
    done = []
    for migration in files:
        record = applied.get(migration.version)
        if record is None:
            for statement in migration.statements():
                store.define(statement)
            store.command(
                _APPLIED,
                {"version": migration.version, "name": migration.name, "checksum": migration.checksum},
            )
            llm_calls.sync(store)
            done.append(migration.name)
        elif record["checksum"] != migration.checksum:
            raise SchemaError(
                f"Migration {migration.version:04} ({migration.name}) was applied to this store with other contents. "
                "Files that were applied must not change: put the change into a new one."
            )
    return done
