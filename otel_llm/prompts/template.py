"""Filling a template: compiled once, with errors that name the prompt and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from otel_llm.errors import PromptRenderError

if TYPE_CHECKING:
    from .sandbox import Template

#: Characters that a template may have.
MAX_TEMPLATE = 262_144

#: What to do when double braces were meant as text, as in templates written for str.format.
BRACES = "; braces that are text go between {% raw %} and {% endraw %}"


@lru_cache(maxsize=512)
def _compiled(source: str) -> Template:
    from .sandbox import Template  # Jinja is imported when the first template is used

    return Template(source)


def fill(source: str, variables: Mapping[str, Any], name: str) -> str:
    """The template with its variables put in; ``name`` is what errors call it."""
    template = check(source, name)
    try:
        return template.render(variables)
    except Exception as error:
        raise PromptRenderError(f"{name}: {_reason(error, template, variables)}.") from error


def check(source: str, name: str) -> Template:
    """The compiled template; raises PromptRenderError when it is not one."""
    if len(source) > MAX_TEMPLATE:
        raise PromptRenderError(f"{name}: the template has {len(source)} characters; {MAX_TEMPLATE} are allowed.")
    try:
        return _compiled(source)
    except RecursionError as error:
        raise PromptRenderError(f"{name}: the template is nested too deeply.") from error
    except Exception as error:
        line = getattr(error, "lineno", None)
        where = f"line {line} of the template: " if line else ""
        hint = BRACES if "end of print statement" in str(error) else ""
        raise PromptRenderError(f"{name}: {where}{_sentence(error)}{hint}.") from error


def _reason(error: Exception, template: Template, variables: Mapping[str, Any]) -> str:
    given = ", ".join(sorted(variables)) or "nothing"
    missing = sorted(template.names - variables.keys())
    if type(error).__name__ == "UndefinedError":
        if missing:
            return f"variable {', '.join(missing)} is missing (given: {given})"
        return f"{_sentence(error)} (given: {given})"
    if isinstance(error, RecursionError):
        return "the variables are nested too deeply"
    return _sentence(error)


def _sentence(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
