"""The errors that otel_llm raises; telemetry itself never raises.

OtelLLMError
 ├─ PromptError
 │   ├─ PromptNotFound (KeyError)      no source knows the prompt
 │   └─ PromptRenderError (ValueError) a variable is missing, or the template is wrong or too large
 ├─ GuardrailBlocked                   a blocking rule refused a call or its answer
 └─ ConfigError (ValueError)           a setting has a value that cannot be used
"""

from __future__ import annotations

from collections.abc import Sequence

from otel_llm.config import fault


class OtelLLMError(Exception):
    """Base of every error of this library."""


class PromptError(OtelLLMError):
    """Something is wrong with a prompt."""


class PromptNotFound(PromptError, KeyError):
    """No source knows the prompt; the message names every source that was tried."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class PromptRenderError(PromptError, ValueError):
    """The template could not be filled: a missing variable, a syntax error or a limit."""


class GuardrailBlocked(OtelLLMError):
    """A blocking rule refused a call (``stage="input"``) or its answer (``stage="output"``).

    ``rules`` are the names of the rules; ``call`` is the handle of the call, as a string.
    """

    def __init__(self, stage: str, rules: Sequence[str], call: str = "") -> None:
        self.stage = stage
        self.rules = tuple(rules)
        self.call = call
        what = "The request" if stage == "input" else "The answer"
        super().__init__(f"{what} was refused by guardrail {', '.join(self.rules)}.")

    def __reduce__(self) -> tuple[type[GuardrailBlocked], tuple[str, tuple[str, ...], str]]:
        """For errors that travel between processes: what it was made of, which is not its message."""
        return type(self), (self.stage, self.rules, self.call)


class ConfigError(OtelLLMError, ValueError):
    """A setting has a value that cannot be used; the message says which and what would be right."""


def error_type(error: BaseException) -> str:
    """``error.type``: the HTTP status where the provider answered with one, else the exception's class."""
    for name in ("status_code", "code"):
        try:
            status = getattr(error, name, None)
        except Exception:
            fault("the status of an error")
            continue
        if isinstance(status, int) and 100 <= status < 600:  # not the code of a SystemExit
            return str(status)
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
    )
