"""An inserter over a store, given the bodies of requests as segments of the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from otel_llm_collector.clickhouse import migrations
from otel_llm_collector.clickhouse.inserter import Inserter
from otel_llm_collector.clickhouse.preparation import Preparation
from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.log.record import Record, digest
from otel_llm_collector.log.seen import Seen
from otel_llm_collector.log.segment import Segment, identity
from otel_llm_collector.measures.counts import Counts
from otel_llm_collector.signals import Signal

_WAIT_S = 60


class Lander:
    """Lands segments of one signal; ``counts`` says how."""

    def __init__(self, signal: Signal, store: Store, folder: Path) -> None:
        folder.mkdir()
        self.store = store
        self.counts = Counts()
        self.quarantine = folder / "quarantine"
        self._signal = signal
        self._folder = folder
        self._segments = 0
        preparation = Preparation(lambda: None)
        self._inserter = Inserter(
            signal, store, preparation, self.counts, Seen(folder), self.quarantine, lambda size: None
        )
        self._inserter.start()

    def land(self, *bodies: bytes, kinds: int | None = None, tenant: str = "", times: int = 1) -> None:
        """Insert one segment with these bodies; ``times`` over, as after as many crashes."""
        self._segments += 1
        kinds = (1 << len(self._signal.landings)) - 1 if kinds is None else kinds
        records = [Record(body, 1, digest(body, self._signal.name), kinds, tenant) for body in bodies]
        for _ in range(times):
            self._inserter.add(self._segment(records, kinds))
            assert self._inserter.wait(_WAIT_S)

    def close(self) -> None:
        self._inserter.stop()

    def _segment(self, records: Sequence[Record], kinds: int) -> Segment:
        path = self._folder / f"{self._segments:020d}-0102030405060708.seg"
        path.write_bytes(b"".join(record.encode(identity(path)) for record in records))
        return Segment(self._signal, path, path.stat().st_size, len(records), kinds, (), 0.0)


@contextmanager
def landing(signal: Signal, folder: Path) -> Iterator[Lander]:
    """A lander over an embedded store of its own."""
    store = Store(f"chdb://{folder / 'store'}")
    migrations.migrate(store)
    lander = Lander(signal, store, folder / "log")
    yield lander
    lander.close()
    store.close()
