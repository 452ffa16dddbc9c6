"""Kills a collector a hundred times, wherever that could lose something or double it, and compares what is stored.

    uv run python tools/kills.py --kills 100

It takes minutes. ``--only disk --seed 7`` does one situation again as it was. Exit code 1 where anything is missing or
there twice.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.collector import start_collector
from tests.support.kills import Kills
from tests.support.small_disk import mounted

MIB = 1 << 20
DISK = 6 * MIB
SHARES = {"load": 0.4, "replaying": 0.12, "migrating": 0.12, "dividing": 0.12, "disk": 0.12, "forwarding": 0.12}
"""Which part of the kills each situation has."""
ROUND = 4
"""Kills after which a situation that a start puts an end to is begun anew."""


def main() -> int:
    """Kills; returns how many situations ended wrong."""
    parser = argparse.ArgumentParser(description="Kills a collector again and again, and compares what is stored.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--only", choices=SHARES)
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    wrong = 0
    for name in [asked.only] if asked.only else SHARES:
        times = asked.kills if asked.only else max(1, round(asked.kills * SHARES[name]))
        wrong += _situation(name, times, random.Random(f"{asked.seed} {name}"))
    return min(wrong, 1)


def _situation(name: str, times: int, chance: random.Random) -> int:
    """Do one situation, as often as it takes; returns how many times it ended wrong."""
    length = ROUND if name in _HOW else times
    wrong = 0
    for done in range(0, times, length):
        with tempfile.TemporaryDirectory(prefix="otel-llm-kills-", ignore_cleanup_errors=True) as folder:
            wrong += _round(name, min(length, times - done), chance, Path(folder))
    return wrong


def _round(name: str, times: int, chance: random.Random, folder: Path) -> int:
    with ExitStack() as stack:
        options = stack.enter_context(_WHERE.get(name, _anywhere)(folder))
        kills = stack.enter_context(Kills(folder / "data", chance, **options))
        _HOW.get(name, Kills.under_load)(kills, times)
        found = kills.settle()
    load = kills.load
    items = ", ".join(f"{count} {signal}" for signal, count in sorted(load.acknowledged.items()))
    print(
        f"{name}: {kills.kills} kills; {items} acknowledged; {kills.replayed} segments replayed; "
        f"{load.sent_again} requests sent again; {load.refused} put off; {kills.poisoned} poisoned; "
        f"{'everything is stored once' if not found else 'WRONG'}",
        flush=True,
    )
    for line in found:
        print(f"  {line}", flush=True)
    return bool(found)


@contextmanager
def _anywhere(folder: Path) -> Iterator[dict[str, Any]]:
    (folder / "data").mkdir()
    yield {}


@contextmanager
def _forwarding(folder: Path) -> Iterator[dict[str, Any]]:
    """To another collector, which is not killed."""
    target = start_collector(folder / "target")
    try:
        yield {"target": target}
    finally:
        target.kill()


@contextmanager
def _on_a_small_disk(folder: Path) -> Iterator[dict[str, Any]]:
    """The log on a disk of its own that is soon full; who may not mount one has files that may not grow."""
    options = {"segment_age_s": 2.0}
    with mounted(folder / "data" / "log", DISK) as reason:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        if reason:
            resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, before[1]))
        try:
            yield options
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


_WHERE = {"disk": _on_a_small_disk, "forwarding": _forwarding}
_HOW: dict[str, Callable[[Kills, int], None]] = {
    "replaying": Kills.while_replaying,
    "migrating": Kills.while_migrating,
    "dividing": Kills.while_dividing,
}

if __name__ == "__main__":
    sys.exit(main())
