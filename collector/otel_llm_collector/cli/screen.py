"""The screen of ``otel-llm status``: one frame from what ``GET /v1/status`` said, and rates from the frame before."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .show import plain

Status = Mapping[str, Any]

_BAR = 20
_LATE_S = 10.0
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_COLUMNS = ("in/s", "stored/s", "accepted", "waiting", "resent", "rejected", "refused")


class Screen:
    """Shows the newest answer; ``add`` gives it the next."""

    def __init__(self) -> None:
        self._now: Status = {}
        self._before: Status = {}
        self._seconds = 0.0
        self._at = 0.0

    def add(self, status: Status, at: float | None = None) -> None:
        """What the collector said, at a time in seconds on any clock."""
        at = time.monotonic() if at is None else at
        self._before, self._now = self._now, status
        self._seconds, self._at = at - self._at, at

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Group(_head(self._now), Text(), self._signals(), Text(), self._machinery(), *self._remarks())

    def _rate(self, *path: str | int) -> float | None:
        """How fast a total grows, a second; none in the first frame."""
        if not self._before or self._seconds <= 0:
            return None
        return max(0.0, _at(self._now, path) - _at(self._before, path)) / self._seconds

    def _mean(self, *path: str | int) -> str:
        """How long something took lately, else ever since the start; a dash when it never happened."""
        count, took = _at(self._now, (*path, "count")), _at(self._now, (*path, "seconds"))
        if self._before and count > (earlier := _at(self._before, (*path, "count"))):
            count, took = count - earlier, took - _at(self._before, (*path, "seconds"))
        return seconds(took / count) if count else "–"

    def _signals(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=8)
        for _ in _COLUMNS:
            table.add_column(justify="right", min_width=7)
        table.add_row("", *(Text(name, style="dim") for name in _COLUMNS))
        for name, counts in self._now["signals"].items():
            refused = sum(counts["refused_requests"].values())
            table.add_row(
                Text(name, style="bold"),
                _speed(self._rate("signals", name, "accepted")),
                _speed(self._rate("signals", name, "inserted")),
                number(counts["accepted"]),
                number(counts["segments_waiting"]),
                number(counts["duplicate_requests"]),
                _trouble(counts["rejected"]),
                _trouble(refused),
            )
        return table

    def _machinery(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=8)
        table.add_column()
        for name, line in self._lines():
            table.add_row(Text(name, style="bold"), line)
        return table

    def _lines(self) -> Iterator[tuple[str, Text]]:
        now = self._now
        age = now["oldest_age_s"]
        old = Text(f"oldest record {seconds(age)}" if age else "nothing waits", style="yellow" if age > _LATE_S else "")
        share = now["bytes_waiting"] / now["log_bytes"]
        yield (
            "log",
            Text("  ").join([_bar(share), Text(f"{size(now['bytes_waiting'])} of {size(now['log_bytes'])}"), old]),
        )
        inserts = " · ".join(f"{name} {self._mean('signals', name, 'inserts')}" for name in now["signals"])
        yield "fsync", Text(f"{self._mean('syncs')}, {_plain_speed(self._rate('syncs', 'count'))} a second")
        yield "inserts", Text(inserts)
        yield "store", _store(now)
        yield "disk", Text(f"{size(now['disk']['free'])} free of {size(now['disk']['size'])}")
        process, cpu = now["process"], self._rate("process", "cpu_s")
        busy = "–" if cpu is None else f"{cpu:.0%}"
        yield "process", Text(f"{size(process['rss_bytes'])} of memory, {busy} of a core")
        for place, forward in enumerate(now["forwarding"]):
            yield "forward", self._forward(place, forward)

    def _forward(self, place: int, forward: Status) -> Text:
        text = Text(plain(forward["url"]))
        text.append(f"  {_plain_speed(self._rate('forwarding', place, 'items'))}/s")
        text.append(f", {number(forward['segments_waiting'])} segments wait")
        if given_up := sum(forward["given_up"].values()):
            text.append(f", {number(given_up)} items given up", style="red")
        if forward["last_error"]:
            text.append(f"\n{plain(forward['last_error'])}", style="yellow")
        return text

    def _remarks(self) -> Iterator[Text | Padding]:
        """What is wrong, in sentences."""
        for name, style in (("problems", "red"), ("warnings", "yellow")):
            if told := self._now[name]:
                yield Text()
                yield Text(name.capitalize(), style=f"bold {style}")
                for sentence in told:
                    yield Padding(Text(plain(sentence)), (0, 0, 0, 2))


def _head(now: Status) -> Text:
    state = ("not ready", "bold red") if now["problems"] else ("ready", "green")
    up = duration(now["process"]["uptime_s"])
    where = shorter(Path(now["data"]))
    return Text.assemble(
        (f"otel-llm {now['version']}", "bold"), "  ", state, f"  up {up}, process {now['pid']}  ", (where, "dim")
    )


def _store(now: Status) -> Text:
    storage = now["storage"]
    kind = "embedded" if now["store"].startswith("chdb:") else plain(now["store"])
    if not storage["reachable"]:
        return Text.assemble(kind, "  ", ("not reachable", "red"))
    return Text(f"{kind}, {size(storage['bytes'])}, {number(storage['rows'])} rows, schema {storage['schema_version']}")


def _bar(share: float) -> Text:
    full = min(_BAR, round(share * _BAR))
    style = "red" if share >= 0.9 else "yellow" if share >= 0.5 else "green"
    return Text.assemble(("█" * full, style), ("░" * (_BAR - full), "dim"))


def _at(status: Status, path: tuple[str | int, ...]) -> float:
    found: Any = status
    for name in path:
        found = found[name]
    return float(found)


def _trouble(count: int) -> Text:
    return Text(number(count), style="yellow" if count else "")


def _speed(rate: float | None) -> Text:
    return Text(_plain_speed(rate))


def _plain_speed(rate: float | None) -> str:
    return "–" if rate is None else number(round(rate))


def number(count: int) -> str:
    """A count in at most seven characters."""
    if count < 1_000_000:
        return f"{count:,}"
    value, unit = (count / 1e6, "M") if count < 999_500_000 else (count / 1e9, "G")
    return f"{value:,.2f} {unit}" if value < 100 else f"{value:,.0f} {unit}"


def seconds(value: float) -> str:
    """A duration; short ones in milliseconds."""
    if value < 0.01:
        return f"{value * 1000:.1f} ms"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s" if value < 60 else duration(value)


def size(count: int) -> str:
    """Bytes, with the unit that fits."""
    value = float(count)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit in ("B", "KiB", "MiB") else f"{value:.1f} {unit}"


def duration(value: float) -> str:
    """A time span in its two largest units."""
    parts: list[str] = []
    rest = int(value)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count or parts or unit == "s":
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def shorter(path: Path) -> str:
    """A path as one types it: relative to where one is, or to one's home."""
    for base, shown in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.is_relative_to(base) and path != base:
            return f"{shown}{path.relative_to(base)}"
    return str(path)
