"""Searching texts for all rules at once: one pass says which detectors may match, and only those are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from otel_llm.config import fault
from otel_llm.errors import ConfigError

from .normalise import INVISIBLE_PATTERN, plain, visible
from .rules import Detector, Guardrail

#: Matches of one detector that are counted in one text; more are as bad.
MOST = 100
#: Bytes of memory that the search may take.
MEMORY = 32 << 20


@dataclass(slots=True)
class Finding:
    """What one rule found: how often, by the words for one and for several of it."""

    rule: Guardrail
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """All matches."""
        return sum(self.counts.values())

    @property
    def reason(self) -> str:
        """A sentence part such as "2 e-mail addresses, 1 phone number"; never what was matched."""
        return ", ".join(
            f"{f'{count} or more' if count >= MOST else count} {noun if count == 1 else nouns}"
            for (noun, nouns), count in self.counts.items()
        )


class Scanner:
    """The rules of one stage, compiled. Raises ConfigError for a pattern that RE2 does not take.

    RE2 works in time linear in the text, whatever the pattern.
    """

    def __init__(self, rules: Sequence[Guardrail]) -> None:
        import re2  # imported when the first guardrail is made

        options = re2.Options()
        options.log_errors = False
        options.max_mem = MEMORY
        self.rules = tuple(rules)
        self._set = re2.Set.SearchSet(options)
        self._set.Add(INVISIBLE_PATTERN)
        self._detectors: list[tuple[Guardrail, Detector, Any]] = []
        self._custom: list[Guardrail] = []
        for rule in rules:
            detectors = rule.detectors()
            if not detectors:
                self._custom.append(rule)
            for detector in detectors:
                try:
                    compiled = re2.compile(detector.pattern, options)
                except re2.error as error:
                    raise ConfigError(
                        f"Guardrail {rule.name}: {_why(error)} in pattern {detector.pattern!r}."
                    ) from None
                if compiled.search(b""):
                    raise ConfigError(f"Guardrail {rule.name}: pattern {detector.pattern!r} matches every text.")
                self._set.Add(detector.pattern)
                self._detectors.append((rule, detector, compiled))
        try:
            self._set.Compile()
            usable = self._set.Match("\u200b") == [0]
        except re2.error:
            usable = False
        if not usable:
            raise ConfigError(f"The patterns of guardrails {', '.join(rule.name for rule in rules)} are too large.")

    def scan(self, texts: Sequence[str], system: Callable[[], int]) -> tuple[list[Finding], bool]:
        """What the rules found, and whether one of them failed: that is said once, and the others still count.

        The first ``system()`` texts are system instructions, which only some rules look at.
        """
        found: dict[str, Finding] = {}
        failed = False
        for place, text in enumerate(texts):
            text = plain(text)
            data = text.encode("utf-8", "replace")
            hits = self._set.Match(data)
            if hits and 0 in hits:
                text = plain(visible(text))
                data = text.encode("utf-8", "replace")
                hits = self._set.Match(data)
            if not hits and not self._custom:
                continue
            for rule, detector, compiled in (self._detectors[hit - 1] for hit in sorted(hits or ()) if hit):
                try:
                    count = _count(detector, compiled, data)
                except Exception:
                    fault(f"guardrail {rule.name}")
                    failed = True
                else:
                    _note(found, rule, (detector.noun, detector.nouns), count, place, system)
            for rule in self._custom:
                try:
                    count = rule.count(text)
                except Exception:
                    fault(f"guardrail {rule.name}")
                    failed = True
                else:
                    _note(found, rule, ("match", "matches"), count, place, system)
        return list(found.values()), failed


def _note(
    found: dict[str, Finding],
    rule: Guardrail,
    nouns: tuple[str, str],
    count: int,
    place: int,
    system: Callable[[], int],
) -> None:
    if count and (rule.system or place >= system()):
        found.setdefault(rule.name, Finding(rule)).counts[nouns] += count


def _count(detector: Detector, compiled: Any, data: bytes) -> int:
    verify = detector.verify
    matches = (1 for match in compiled.finditer(data) if verify is None or verify(data, *match.span()))
    return sum(islice(matches, MOST))


def _why(error: Exception) -> str:
    reason = error.args[0] if error.args else "an error"
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
