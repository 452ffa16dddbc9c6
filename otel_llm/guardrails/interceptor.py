"""Checking what is sent and what comes back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from otel_llm import attributes as a
from otel_llm.config import fault
from otel_llm.errors import ConfigError, GuardrailBlocked
from otel_llm.messages import texts

from .rules import Guardrail, Stage
from .scan import Finding, Scanner

if TYPE_CHECKING:
    from otel_llm.invocation import Invocation

_OUTCOME, _BLOCKED = a.GUARDRAIL_OUTCOME.name, a.GUARDRAIL_BLOCKED.name
_RULES, _COUNT, _RESULTS = a.VIOLATED_RULES.name, a.GUARDRAIL_COUNT.name, a.GUARDRAIL_RESULTS.name

#: Outcomes of a stage from the least to the most that there is to say; a call has the most of its stages.
_OUTCOMES = ("skipped", "passed", "error", "violated", "blocked")

_checking: ContextVar[bool] = ContextVar("otel_llm.checking", default=False)


class Guardrails:
    """The interceptor that checks requests before they are sent and answers when they have come.

    A rule that blocks refuses a request, or an answer that is not streamed, with
    :class:`~otel_llm.errors.GuardrailBlocked`; of a stream the answer is only observed, when it has ended, and so are
    the request and the answer of a session's turn or of a call that is over already. A rule that fails is logged once
    and lets the call pass (``otel_llm.guardrail.outcome`` = error). Calls that a rule makes itself, to ask a model, are
    not checked.
    """

    def __init__(self, rules: Sequence[Guardrail]) -> None:
        for rule in rules:
            if not isinstance(rule, Guardrail):
                raise ConfigError(
                    f"{rule!r} is not a guardrail. Use rules of otel_llm.guardrails, such as its default()."
                )
        names = [rule.name for rule in rules]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"Two guardrails are called {', '.join(sorted(twice))}; each needs a name of its own.")
        self._before = Scanner([rule for rule in rules if "input" in rule.stages])
        self._after = Scanner([rule for rule in rules if "output" in rule.stages])
        self._total = len(rules)
        self.policy = any(rule.action == "block" for rule in rules)

    def before(self, call: Invocation) -> None:
        """Checks what is about to be sent; raises GuardrailBlocked when it may not be."""
        if not self._before.rules or _checking.get():
            return
        if blocked := self._check(call, "input", self._before, may_block=call.outcome is None and call.at is None):
            raise GuardrailBlocked("input", blocked, call.handle)

    def after(self, call: Invocation) -> None:
        """Checks what came back; raises GuardrailBlocked when it may not be handed on and still can be held back."""
        if not self._after.rules or _BLOCKED in call.values or _checking.get():
            return
        may_block = call.error is None and call.at is None and not call.streaming
        if blocked := self._check(call, "output", self._after, may_block):
            raise GuardrailBlocked("output", blocked, call.handle)

    def _check(self, call: Invocation, stage: Stage, scanner: Scanner, may_block: bool) -> list[str]:
        """Scans a stage, records what was found and returns the names of the rules that refuse the call."""
        values = call.values
        before = values.get(_OUTCOME, "skipped")
        checking = _checking.set(True)
        try:
            scanned = call.input_texts() if stage == "input" else call.output_texts()
            findings, failed = scanner.scan(scanned, lambda: _system(call, stage)) if scanned else ([], False)
        except Exception:
            fault(f"the guardrails of the {stage}")
            scanned, findings, failed = (), [], True
        finally:
            _checking.reset(checking)
        outcome = "error" if failed else "passed" if scanned else "skipped"
        blocked: list[str] = []
        if findings:
            blocked = [each.rule.name for each in findings if may_block and each.rule.action == "block"]
            outcome = "blocked" if blocked else "violated"
            self._record(values, stage, findings, may_block)
            if blocked:
                values[_BLOCKED] = True
        values[_OUTCOME] = max(before, outcome, key=_OUTCOMES.index)
        if scanned:
            values[_COUNT] = len(scanner.rules) if before == "skipped" else self._total
        return blocked

    def _record(self, values: dict[str, Any], stage: Stage, findings: list[Finding], may_block: bool) -> None:
        names = [each.rule.name for each in findings]
        values[_RULES] = list(dict.fromkeys([*values.get(_RULES, ()), *names]))
        results = json.loads(values.get(_RESULTS, "[]")) + [
            {
                "rule": each.rule.name,
                "type": each.rule.type,
                "severity": each.rule.severity,
                "stage": stage,
                "action": each.rule.action if may_block else "observe",
                "reason": each.reason,
                "count": each.count,
            }
            for each in findings
        ]
        values[_RESULTS] = json.dumps(results, separators=(",", ":"), ensure_ascii=False)


def _system(call: Invocation, stage: Stage) -> int:
    """How many of the texts of a stage are system instructions."""
    return len(texts(call.system_instructions)) if stage == "input" else 0
