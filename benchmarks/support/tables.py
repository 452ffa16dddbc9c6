"""The tables that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .results import Aim, Results, Verdict
from .workers import Worker

#: What is looked for in the spans, with its letter.
LOOKED_FOR = {"input": "i", "output": "o", "tokens": "t", "cost": "c", "first chunk": "f", "prompt link": "p"}


def _line(name: str, cells: Sequence[str], width: int = 17) -> str:
    return f"{name:16}" + "".join(f"{cell:>{width}}" for cell in cells)


def _short(call: str) -> str:
    return call.removeprefix("openai ")


def figures(results: Results, workers: Sequence[Worker], configuration: str, aims: Sequence[Aim]) -> str:
    """What each peer adds, with the ratio of instrumented to bare, and for a stream what a chunk of it takes."""
    calls = [aim for aim in aims if aim.configuration == configuration]
    heads = [head for aim in calls for head in ([_short(aim.call), "a chunk"] if aim.chunks else [_short(aim.call)])]
    lines = ["", f"{configuration}: added CPU us a call, and instrumented to bare", _line("", heads)]
    for worker in workers:
        peer = worker.peer.name
        if configuration in worker.trouble:
            lines.append(f"{peer:16} {worker.trouble[configuration]}")
            continue
        cells = []
        for aim in calls:
            figure, chunk = results.figures.get((configuration, peer, aim.call)), results.chunk(peer, aim)
            cells.append(f"{figure.added:.0f} x{figure.ratio:.2f}" if figure else "-")
            if aim.chunks:
                cells.append(f"{chunk.added:.2f}" if chunk else "-")
        lines.append(_line(peer, cells))
    return "\n".join(lines)


def verdicts(results: Results, found: Sequence[Verdict]) -> str:
    """Our figures against the aims."""
    return "\n".join(["", f"{results.us} against its aims", f"{'':34}{'us':>8} {'±':>6} {'aim':>5}", *map(str, found)])


def held(results: Results, workers: Sequence[Worker], calls: Sequence[str]) -> str:
    """How many spans a call has and what they hold."""
    legend = ", ".join(f"{letter.upper()} {name}" for name, letter in LOOKED_FOR.items())
    title = f"spans of a call, content on, and what was found in them (small letters: a part of it): {legend}"
    lines = ["", title, _line("", [_short(call) for call in calls])]
    for worker in workers:
        cells = []
        for call in calls:
            found = results.held.get((worker.peer.name, call), {})
            letters = "".join(
                letter.upper() if found.get(name) == "full" else letter if found.get(name) else "."
                for name, letter in LOOKED_FOR.items()
            )
            spans = found.get("spans")
            cells.append(f"{spans} {letters}" if spans else "-")
        lines.append(_line(worker.peer.name, cells))
    return "\n".join(lines)


def matrix(behaviours: Mapping[str, Mapping[str, str]]) -> str:
    """How many spans come of a stream, their status, and how they say it ended, for each way to leave it."""
    ways = dict.fromkeys(way for found in behaviours.values() for way in found)
    lines = ["Streams of ten chunks: spans, status of each, how it ended", _line(f"{'':36}", list(behaviours), 21)]
    lines += [_line(f"{way:36}", [found.get(way, "-") for found in behaviours.values()], 21) for way in ways]
    return "\n".join(lines)


def notes(workers: Sequence[Worker]) -> str:
    """The versions, and what is to be known of each peer."""
    ours = workers[0].versions
    lines = [""]
    for worker in workers[1:]:
        pins = [pin.replace("==", " ") for pin in (*worker.peer.resolved, *worker.peer.forced) if "==" in pin]
        others = [f"with {name} {version}" for name, version in worker.versions.items() if version != ours.get(name)]
        lines.append(f"{worker.peer.name}: {'; '.join([', '.join(pins), *worker.notes, *others])}")
    return "\n".join(lines)
