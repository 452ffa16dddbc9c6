"""Kills a collector at random moments, in the situations where that could lose something or double it."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from otel_llm_collector import schemas
from otel_llm_collector.log.record import Record
from otel_llm_collector.log.segment import identity

from .collector import ROOT, Handle, launch, start_collector
from .load import SIGNALS, Load

_POISON = b"\x0a\xff\xff\xff\xff\x7f"
"""What no check lets in and ClickHouse never takes."""
_NOWHERE = "clickhouse://nobody:nothing@127.0.0.1:9/otel"
_MIGRATE = (
    "import sys; from pathlib import Path; from otel_llm_collector.clickhouse import migrations; "
    "from otel_llm_collector.clickhouse.store import Store; "
    "store = Store(sys.argv[1]); migrations.migrate(store, Path(sys.argv[2])); store.close()"
)


class Kills:
    """A data folder, a load, and a collector that is killed again and again; ``settle`` says what is wrong then."""

    def __init__(self, data: Path, chance: random.Random, target: Handle | None = None, **options: Any) -> None:
        """``options`` are settings of the collector; a ``target`` is another one that gets everything too."""
        self.data = data
        self.target = target
        self.load = Load()
        self.kills = 0
        self.replayed = 0
        """Segments that starts found in the log, of those starts that lived to say so."""
        self.poisoned = 0
        """Records put into the log that the store never takes."""
        self._chance = chance
        self._options = {"segment_age_s": 0.4, **options}
        if target is not None:
            self._options["forward"] = [{"url": target.http}]
        self._collector: Handle | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._collector is not None:
            self._collector.kill()

    def under_load(self, times: int) -> None:
        """While it receives, writes and inserts; every fifth time while it starts and replays."""
        for number in range(times):
            if number % 5 == 4:
                self.while_starting(1)
            else:
                self.run((0.05, 0.8))

    def run(self, seconds: tuple[float, float], **options: Any) -> None:
        """Start it, give it the load for a while, and kill it."""
        collector = self._start(**options)
        self.load.point_at(collector.http)
        time.sleep(self._chance.uniform(*seconds))
        self._kill()

    def while_starting(self, times: int, seconds: tuple[float, float] = (0.3, 1.5)) -> None:
        """Without a load: what it does then is to migrate and to replay."""
        for _ in range(times):
            process = launch(self.data, **self._options)
            time.sleep(self._chance.uniform(*seconds))
            process.kill()
            process.communicate()
            self.kills += 1

    def while_replaying(self, times: int) -> None:
        """With many segments in the log, one for every few requests."""
        self.run((1.0, 2.0), segment_bytes=1)
        self.while_starting(times - 1, (0.7, 2.5))

    def while_migrating(self, times: int) -> None:
        """With records waiting, into a store that is new, or that the first files of the schema made."""
        self.run((0.5, 1.0), store=_NOWHERE)
        if (files := self._chance.randrange(4)) and not (self.data / "store").exists():
            self._migrate(files)
        self.while_starting(times - 1, (0.5, 1.6))

    def while_dividing(self, times: int) -> None:
        """With a record in the log that the store never takes, so that its segment is cut in two again and again."""
        self.run((0.5, 1.0), store=_NOWHERE, segment_age_s=3600)
        for path in sorted((self.data / "log").glob("*/*.seg")):
            record = Record(_POISON, 1, self._chance.randbytes(16), 1)
            with path.open("ab") as file:
                file.write(record.encode(identity(path)))
            self.poisoned += 1
        self.while_starting(times - 1, (0.7, 2.0))

    def settle(self) -> list[str]:
        """Start it once more, let the load end, and compare; what is wrong, in a line each."""
        collector = self._start()
        self.load.point_at(collector.http)
        self.load.finish()
        found = self.load.problems(collector)
        if self.target is not None:
            while list((self.data / "log" / "forward").rglob("*.seg")):
                time.sleep(0.1)
            found += [f"at the target: {problem}" for problem in self.load.problems(self.target)]
        set_aside = len(list((self.data / "log" / "quarantine").glob("*.seg")))
        if set_aside != self.poisoned:
            found.append(f"{set_aside} records are set aside instead of {self.poisoned}")
        if left := [path for signal in SIGNALS for path in (self.data / "log" / signal).iterdir()]:
            found.append(f"left in the log: {', '.join(path.name for path in left)}")
        self._collector = None
        if collector.stop() != 0:
            found.append("the collector did not end well")
        return found

    def _start(self, **options: Any) -> Handle:
        self._collector = start_collector(self.data, **{**self._options, **options})
        signals = self._collector.status()["signals"].values()
        self.replayed += sum(signal["replayed_segments"] for signal in signals)
        return self._collector

    def _kill(self) -> None:
        if self._collector is not None:
            self._collector.kill()
            self._collector = None
        self.load.point_at(None)
        self.kills += 1

    def _migrate(self, files: int) -> None:
        """A store as an earlier version left it: with the first files of the schema only."""
        earlier = self.data / "earlier"
        earlier.mkdir(exist_ok=True)
        for path in sorted((schemas.folder() / "migrations").glob("*.sql"))[:files]:
            shutil.copy(path, earlier)
        subprocess.run(
            [sys.executable, "-c", _MIGRATE, f"chdb://{self.data / 'store'}", str(earlier)], cwd=ROOT, check=True
        )
