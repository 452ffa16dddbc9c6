"""A prompt: one version of a named template."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .link import remember
from .template import fill


@dataclass(frozen=True, slots=True)
class Prompt:
    """One version of a named template, with the settings that belong to it; never changed once made.

    ``config`` is the application's own (model, temperature and so on): it is handed back, not applied. ``source`` says
    where the template was found: registry, file or inline. ``template_hash`` is its SHA-256, in hexadecimal.
    """

    name: str
    template: str
    version: str = "1"
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    description: str = ""
    category: str = ""
    source: str = "inline"
    template_hash: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", MappingProxyType(dict(self.config)))
        object.__setattr__(self, "template_hash", hashlib.sha256(self.template.encode("utf-8", "replace")).hexdigest())

    def render(self, /, **variables: Any) -> str:
        """The template filled with the variables, as a plain ``str``; a call that carries it is linked to the prompt.

        Raises :class:`~otel_llm.errors.PromptRenderError` when a variable is missing or the template is wrong.
        """
        text = fill(self.template, variables, f"Prompt {self.name}, version {self.version}")
        remember(self, variables, text)
        return text
