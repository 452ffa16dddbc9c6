"""Prompts by name and version, from a folder of files; calls link themselves to the prompt they came from.

>>> import otel_llm
>>> text = otel_llm.prompt("nlu_topic_extraction").render(question="What is a prime?")
"""

from __future__ import annotations

from pathlib import Path

from otel_llm.config import PROMPTS, read
from otel_llm.errors import ConfigError, PromptNotFound

from .files import NAME, PromptFolder
from .link import PromptLink, Use
from .prompt import Prompt

__all__ = ["Prompt", "PromptLink", "Use", "configure", "prompt", "use_prompt"]

_folder: PromptFolder | None = None
_default: PromptFolder | None = None


def configure(folder: Path | None) -> None:
    """Sets the folder where prompts are looked for; None goes back to ``OTEL_LLM_PROMPTS``, else ``./prompts``.

    Raises ConfigError when it is not a folder.
    """
    global _folder
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"prompts={str(folder)!r} is not a folder: give one that holds files such as greeting.yaml.")
    _folder = PromptFolder(folder) if folder is not None else None


def prompt(name: str, version: str | int | None = None, label: str | None = None) -> Prompt:
    """The prompt of that name: a version, the version that a label is on, or by default the one labelled production.

    Raises :class:`~otel_llm.errors.PromptNotFound`, naming every source that was tried, and
    :class:`~otel_llm.errors.PromptError` when its file is wrong.
    """
    if version is not None and label is not None:
        raise ConfigError(f"Prompt {name}: give a version or a label, not both.")
    folder = _source()
    file = folder.find(name) if NAME.fullmatch(name) else None
    if file is None:
        raise PromptNotFound(f"No prompt is called {name!r}. Looked in {folder}.")
    return file.get(None if version is None else str(version), label)


def use_prompt(prompt_or_name: Prompt | str, version: str | int | None = None, label: str | None = None) -> Use:
    """``with`` or ``async with``: says which prompt the calls below come from, whatever their texts are.

    For texts that are cut up or put together after rendering; elsewhere calls link themselves.
    """
    return Use(prompt(prompt_or_name, version, label) if isinstance(prompt_or_name, str) else prompt_or_name)


def _source() -> PromptFolder:
    """The folder in force; one is kept for each place, so that its files stay read."""
    global _default
    if _folder is not None:
        return _folder
    path = Path(read(PROMPTS))
    if _default is None or _default.path != path:
        _default = PromptFolder(path)
    return _default
