"""What a guardrail is, and the plain regular expression as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from otel_llm.errors import ConfigError

Severity = Literal["info", "warning", "error", "critical"]
Action = Literal["observe", "block"]
Stage = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class Detector:
    """One thing that a rule looks for.

    ``pattern`` is in RE2's syntax (linear time; no look-around, no back-references) and is searched in UTF-8 bytes.
    ``verify`` is given those bytes and the span of a match and says whether it counts.
    """

    noun: str
    nouns: str
    pattern: str
    verify: Callable[[bytes, int, int], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class Guardrail:
    """A rule about what is sent to a model and what comes back.

    ``action="block"`` refuses a request before it is sent, and an answer that is not streamed; of a stream the answer
    is only observed. ``type`` is a word of your own, such as pii or toxic. ``system=False`` leaves out system
    instructions, which are the application's own. A rule of your own gives ``detectors()``,
    or overrides ``count()``, which is called with each text and returns how often the text violates the rule.
    """

    name: str
    type: str = "custom"
    severity: Severity = "warning"
    action: Action = "observe"
    stages: tuple[Stage, ...] = ("input", "output")
    system: bool = True

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("A guardrail needs a name.")
        for field, value, known in (
            ("severity", self.severity, Severity),
            ("action", self.action, Action),
            *(("stages", stage, Stage) for stage in self.stages),
        ):
            if value not in get_args(known):
                raise ConfigError(f"Guardrail {self.name}: {field} is {value!r}; use {', '.join(get_args(known))}.")
        if not self.stages:
            raise ConfigError(f"Guardrail {self.name} has no stages; use input, output or both.")

    def detectors(self) -> Sequence[Detector]:
        """What to look for; all of it in one pass with the detectors of all rules."""
        return ()

    def count(self, text: str) -> int:
        """How often a text violates a rule that has no detectors."""
        return 0


@dataclass(frozen=True, kw_only=True)
class Pattern(Guardrail):
    """A regular expression in RE2's syntax, such as ``(?i)project\\s+nightingale``."""

    pattern: str

    def detectors(self) -> Sequence[Detector]:
        """The pattern."""
        return (Detector("match", "matches", self.pattern),)
