"""What was measured of all peers: who records the same, who is fastest, which aims are met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .figures import Figure, per_chunk


@dataclass(frozen=True)
class Aim:
    """What is aimed at for a call in a configuration, and what telemetry of it must hold to be the same.

    ``most`` is in added microseconds, ``share`` of what the fastest peer adds; ``plain`` names the plain call beside a
    stream of ``chunks``.
    """

    configuration: str
    call: str
    most: float
    share: float | None = None
    needs: tuple[str, ...] = ()
    chunks: int = 0
    plain: str = ""


@dataclass(frozen=True)
class Verdict:
    """How our figure stands to an aim. ``fastest`` is the peer that adds least of those that record the same."""

    aim: Aim
    figure: Figure
    chunk: Figure | None
    complete: bool
    verdict: str
    fastest: str = ""
    theirs: Figure | None = None
    share: float | None = None
    share_verdict: str = ""

    def __str__(self) -> str:
        line = f"{self.aim.configuration:12} {self.aim.call:20} {self.figure.added:9.1f} {self.figure.error:6.1f}"
        line += f" {self.aim.most:5.0f} {self.verdict:6}"
        if self.theirs is not None:
            share = "" if self.share is None else f"{self.share:.2f} of "
            line += f"  {share}{self.fastest} ({self.theirs.added:.0f}), aim {self.aim.share}: {self.share_verdict}"
        elif self.aim.share is not None:
            line += "  no peer records the same"
        return line if self.complete else f"{line}  (its span does not hold what it should)"

    def row(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "ratio": self.figure.ratio}


@dataclass
class Results:
    """Figures by (configuration, peer, call), and what the spans hold by (peer, call)."""

    us: str
    figures: dict[tuple[str, str, str], Figure] = field(default_factory=dict)
    held: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def same(self, peer: str, aim: Aim) -> bool:
        """Whether a peer records what is needed, in full; of the output tokens those of thoughts may be missing."""
        held = self.held.get((peer, aim.call), {})
        return all(held.get(need) == "full" or (need == "tokens" and bool(held.get(need))) for need in aim.needs)

    def fastest(self, aim: Aim) -> str | None:
        """The peer that adds least of those that record the same."""
        found = {
            peer: figure.added
            for (configuration, peer, call), figure in self.figures.items()
            if (configuration, call) == (aim.configuration, aim.call) and peer != self.us and self.same(peer, aim)
        }
        return min(found, key=found.__getitem__, default=None)

    def chunk(self, peer: str, aim: Aim) -> Figure | None:
        """What a chunk of a stream takes."""
        stream = self.figures.get((aim.configuration, peer, aim.call))
        plain = self.figures.get((aim.configuration, peer, aim.plain))
        return per_chunk(stream, plain, aim.chunks) if stream and plain else None

    def verdicts(self, aims: Sequence[Aim]) -> list[Verdict]:
        """Our figures against the aims, those that were measured."""
        return [
            self._verdict(aim, figure)
            for aim in aims
            if (figure := self.figures.get((aim.configuration, self.us, aim.call))) is not None
        ]

    def _verdict(self, aim: Aim, ours: Figure) -> Verdict:
        alone = Verdict(aim, ours, self.chunk(self.us, aim), self.same(self.us, aim), ours.verdict(aim.most))
        if aim.share is None or (peer := self.fastest(aim)) is None:
            return alone
        theirs = self.figures[aim.configuration, peer, aim.call]
        return replace(
            alone,
            fastest=peer,
            theirs=theirs,
            share=ours.share(theirs),
            share_verdict=ours.share_verdict(theirs, aim.share),
        )
