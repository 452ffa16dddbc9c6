"""Prompts in a folder: one YAML file a prompt, with all its versions.

::

    # prompts/nlu_topic_extraction.yaml
    description: Finds the topic of a question.
    category: nlu
    config: {model: gemini-flash-latest, temperature: 0.2}
    versions:
      "1":
        template: |
          What is the topic of this question? {{ question }}
      "2":
        template: |
          Name the topic of the question in at most three words.
          Question: {{ question }}
        config: {temperature: 0.1}
    labels:
      production: "1"
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from otel_llm.errors import PromptError, PromptNotFound
from otel_llm.fork import guard

from .prompt import Prompt

#: The label that is served when neither a version nor a label is asked for.
DEFAULT_LABEL = "production"

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")

_FIELDS = {"name", "description", "category", "config", "versions", "labels"}
_VERSION_FIELDS = {"template", "config", "description"}


class PromptFile:
    """One file, read and checked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        content = _mapping(_parse(path), path, "the file", _FIELDS)
        self.name = path.stem
        if content.get("name", self.name) != self.name:
            raise PromptError(f"{path}: name is {content['name']!r}, but the file is called {self.name}.")
        versions = _mapping(content.get("versions"), path, "versions")
        if not versions:
            raise PromptError(
                f"{path}: versions is empty; write at least one, such as versions: {{'1': {{template: …}}}}."
            )
        self.versions = {
            _key(key, path): self._prompt(_key(key, path), each, content) for key, each in versions.items()
        }
        labels = _mapping(content.get("labels") or {}, path, "labels")
        self.labels = {str(label): _key(version, path) for label, version in labels.items()}
        for label, version in self.labels.items():
            if version not in self.versions:
                raise PromptError(f"{path}: label {label} is on version {version}, which the file does not have.")

    def _prompt(self, version: str, content: Any, common: Mapping[str, Any]) -> Prompt:
        content = _mapping(content, self.path, f"version {version}", _VERSION_FIELDS)
        template = content.get("template")
        if not isinstance(template, str):
            raise PromptError(f"{self.path}: version {version} has no template; it is a text.")
        config = {
            **_mapping(common.get("config") or {}, self.path, "config"),
            **_mapping(content.get("config") or {}, self.path, f"config of version {version}"),
        }
        return Prompt(
            name=self.name,
            template=template,
            version=version,
            config=config,
            description=str(content.get("description") or common.get("description") or ""),
            category=str(common.get("category") or ""),
            source="file",
        )

    def get(self, version: str | None, label: str | None) -> Prompt:
        """A version by number or by label; by default the one labelled production, else the last in the file."""
        if version is None and label is None:
            version = self.labels.get(DEFAULT_LABEL) or list(self.versions)[-1]
        elif version is None:
            version = self.labels.get(label or "")
            if version is None:
                raise PromptNotFound(f"{self.path} has no label {label}: {_listed(self.labels, 'it has')}.")
        if version not in self.versions:
            raise PromptNotFound(f"{self.path} has no version {version}: {_listed(self.versions, 'it has')}.")
        return self.versions[version]


class PromptFolder:
    """A folder of prompt files; a file that has changed is read again when it is next asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = guard(Lock())
        self._files: dict[str, tuple[tuple[int, int], PromptFile]] = {}

    def find(self, name: str) -> PromptFile | None:
        """The file of a prompt, or None when there is none. Raises PromptError when the file is wrong."""
        path = self.path / f"{name}.yaml"
        try:
            stat = path.stat()
        except OSError:
            return None
        stamp = (stat.st_mtime_ns, stat.st_size)
        known = self._files.get(name)
        if known and known[0] == stamp:
            return known[1]
        with self._lock:
            file = PromptFile(path)
            self._files[name] = (stamp, file)
            return file

    def names(self) -> list[str]:
        """The prompts that the folder has."""
        return sorted(path.stem for path in self.path.glob("*.yaml") if NAME.fullmatch(path.stem))

    def __str__(self) -> str:
        if not self.path.is_dir():
            return f"folder {self.path} (which does not exist)"
        return f"folder {self.path} ({_listed(self.names(), 'which has')})"


def _listed(names: Any, verb: str) -> str:
    return f"{verb} {', '.join(list(names)[:20])}" if names else f"{verb} none"


def _key(key: Any, path: Path) -> str:
    """A version as text; 1.10 without quotes would be read as the number 1.1."""
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise PromptError(f'{path}: write version {key} in quotes, such as "{key}".')
    return str(key)


def _mapping(value: Any, path: Path, what: str, fields: set[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PromptError(f"{path}: {what} must be a mapping of names to values.")
    if fields is not None and (unknown := value.keys() - fields):
        raise PromptError(
            f"{path}: {what} has unknown field {', '.join(sorted(map(str, unknown)))}; use {', '.join(sorted(fields))}."
        )
    return value


def _parse(path: Path) -> Any:
    import yaml  # imported when the first file is read

    class Loader(yaml.SafeLoader):
        """Refuses a key written twice, which YAML would silently let win: a version is never replaced."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            seen = set()
            for key in (str(key.value) for key, _ in node.value):
                if key in seen:
                    raise PromptError(f"{path}: {key} is written twice.")
                seen.add(key)
            return super().construct_mapping(node, deep)

    try:
        return Loader(path.read_text(encoding="utf-8")).get_single_data()
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise PromptError(f"{path} cannot be read: {' '.join(str(error).split())}.") from error
