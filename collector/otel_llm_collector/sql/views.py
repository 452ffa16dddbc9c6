"""What stands for ClickHouse's ``system`` and ``information_schema``: views of what concerns one database."""

from __future__ import annotations

import re
import threading

from otel_llm_collector import schemas
from otel_llm_collector.clickhouse.cluster import quoted
from otel_llm_collector.clickhouse.store import Store, literal
from otel_llm_collector.errors import StoreError

from .session import saying
from .settings import changeable

_VIEW = re.compile(r"VIEW \{(\w+)\}\.(\w+)")
_SIGN = re.compile(r"\W", re.ASCII)
_NOT_ALLOWED = 497
_NEEDS = (
    "The collector's user may not make the views that stand for system tables; docs/scaling.md says what it needs: "
)


class Views:
    """The views of one store, in two databases whose names begin with that of ours: others have others."""

    def __init__(self, store: Store) -> None:
        self._store = store
        own = _SIGN.sub(lambda sign: f"_{ord(sign[0]):x}_", store.database)
        self._names = {"views": f"{own}_otel_llm_system", "information": f"{own}_otel_llm_information"}
        self._text = schemas.read("system_views.sql")
        self._lock = threading.Lock()
        self._made = False

    @property
    def system(self) -> str:
        """The database of the views of system tables."""
        return self._names["views"]

    @property
    def instead(self) -> dict[str, str]:
        """The database that each of ClickHouse's stands for."""
        information = self._names["information"]
        return {"system": self.system, "information_schema": information, "INFORMATION_SCHEMA": information}

    @property
    def tables(self) -> frozenset[tuple[str, str]]:
        """Every view, as its database and its name."""
        return frozenset((self._names[database], name) for database, name in _VIEW.findall(self._text))

    def named(self, statement: str) -> bool:
        """Whether a statement reads one of them."""
        return any(name in statement for name in self._names.values())

    def make(self) -> None:
        """Make them where that has not been done yet, on a cluster on all of it."""
        with self._lock:
            if self._made:
                return
            cluster = self._store.cluster
            filled = {
                **self._names,
                "cluster": f" ON CLUSTER {quoted(cluster.name)}" if cluster else "",
                "database": literal(self._store.database),
                "settings": literal(changeable()),
            }
            text = self._text
            for name, value in filled.items():
                text = text.replace(f"{{{name}}}", value)
            try:
                for statement in text.split(";\n"):
                    if statement.strip():
                        self._store.command(statement)
            except StoreError as error:
                raise saying(_NEEDS, error) if error.code == _NOT_ALLOWED else error from None
            self._made = True

    def forget(self) -> None:
        """Make them again when they are next needed: one is gone, or a node of the cluster never had it."""
        self._made = False
