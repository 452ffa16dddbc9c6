"""Words and phrases that are not wanted, whole words only, whatever their case."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from otel_llm.errors import ConfigError

from .rules import Detector, Guardrail

#: A short list of abuse, slurs and threats; a real policy brings its own.
TOXIC: tuple[str, ...] = (
    "beat you to death", "cunt", "cunts", "die in a fire", "drink bleach", "faggot", "faggots", "fuck off", "fuck you",
    "fucking idiot", "go die", "go kill yourself", "heil hitler", "hope you die", "i will kill you", "i'll kill you",
    "kike", "kikes", "kill yourself", "kys", "motherfucker", "motherfuckers", "neck yourself", "nigger", "niggers",
    "piece of shit", "raghead", "ragheads", "rape you", "slit your throat", "stupid bitch", "subhuman scum",
    "tranny", "wetback", "wetbacks", "white power", "whore", "whores", "worthless bitch",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class WordList(Guardrail):
    """Words or phrases, found as whole words without regard to case, spacing or punctuation between them.

    The count is of places: words of the list side by side count once.
    """

    words: Sequence[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.words, str) or not all(_spelled(word) for word in self.words) or not self.words:
            raise ConfigError(f"Guardrail {self.name}: words must be a list of words or phrases with letters in them.")

    def detectors(self) -> Sequence[Detector]:
        """All words as one pattern, the longest first."""
        spellings = {r"[\W_]{1,3}".join(each) for word in self.words for each in _spellings(word)}
        words = "|".join(sorted(spellings, key=lambda spelling: (-len(spelling), spelling)))
        return (Detector("listed word", "listed words", f"(?i)(?:^|[^\\pL\\pN_])(?:{words})(?:$|[^\\pL\\pN_])"),)


def _spellings(word: str) -> set[tuple[str, ...]]:
    """A word's parts as written, and with its letters folded as Unicode does it: straße and strasse."""
    plain = unicodedata.normalize("NFKC", word)
    return {_spelled(plain), _spelled(plain.casefold())}


def _spelled(word: str) -> tuple[str, ...]:
    return tuple("".join(each if each.isalnum() else " " for each in word).split())
