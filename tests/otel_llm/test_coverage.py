"""The page of what is covered is made from the SDKs; what they gain or lose is an error with its name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from otel_llm.provider import Endpoint, Fold, Provider, Server
from tools import coverage
from tools.coverage import Coverage, Lists, Method, cover


class Folded:
    """A fold of nothing."""

    def add(self, chunk: Any) -> None:
        """Takes a chunk."""

    def response(self) -> Any:
        """Nothing."""


def _endpoint(method: str, operation: str = "chat", fold: type[Fold] | None = None, **more: Any) -> Endpoint:
    return Endpoint(operation=operation, module="m", method=method, async_method=f"Async{method}", fold=fold, **more)


SESSION: Any = SimpleNamespace(module="m", connect="AsyncTalk.connect")
PROVIDER = Provider(
    name="p",
    package="p",
    distribution="p",
    server=lambda client: Server("p", None, None),
    endpoints=(
        _endpoint("Chat.create", fold=Folded),
        _endpoint("Jobs.create", "create_job", streamed=False),
        _endpoint("Chat.newer", optional=True),
    ),
    sessions=(SESSION,),
)
LISTS = Lists(
    through={"chat.stream": "chat.create"}, generic=("jobs.*",), not_covered={"files.list": "lists", "files.*": "keeps"}
)


def _methods(kind: str, *more: str) -> list[Method]:
    paths = ("chat.create", "chat.stream", "jobs.create", "files.list", "files.upload", *more)
    return [Method(path, "m", f"{kind}{path.title().partition('.')[0]}.{path.partition('.')[2]}") for path in paths]


def _cover(*more: str, provider: Provider = PROVIDER, lists: Lists = LISTS) -> Coverage:
    return cover(provider, lists, {"sync": _methods("", *more), "async": _methods("Async", "talk.connect", *more)})


def test_how_methods_are_recorded() -> None:
    """By endpoints of their own, generic or not, through others, by sessions, or not, for a reason."""
    found = _cover()
    assert found.problems == []
    assert found.recorded == {
        "chat.create": ("`chat`", "with `stream=True`"),
        "jobs.create": ("`create_job`, generic", ""),
        "talk.connect": ("a session: a span a turn", "by its nature"),
    }
    assert found.through == {"chat.stream": "chat.create"}
    assert found.left_out == {("lists", "files.list"): ["files.list"], ("keeps", "files.*"): ["files.upload"]}
    assert (found.forms["chat.create"], found.forms["talk.connect"]) == (["sync", "async"], ["async"])


def test_a_new_method_is_found() -> None:
    """Nobody has decided about it: the check fails with its name."""
    found = _cover("chat.invent")
    assert found.problems == [
        "chat.invent (sync) is new: make it an endpoint, or say why not",
        "chat.invent (async) is new: make it an endpoint, or say why not",
    ]


@pytest.mark.parametrize(
    ("lists", "pattern"),
    [
        ({"through": {"gone": "x"}}, "gone"),
        ({"generic": ("gone.*",)}, "gone.*"),
        ({"not_covered": {"chat.create": "the endpoint decides"}}, "chat.create"),
        ({"not_covered": {"files.*": "first", "files.upload": "never asked"}}, "files.upload"),
    ],
    ids=str,
)
def test_a_pattern_that_decides_nothing_is_found(lists: Mapping[str, Any], pattern: str) -> None:
    """It is of a method that is gone, or another one comes before it."""
    empty: dict[str, Any] = {"through": {}, "generic": (), "not_covered": {}}
    problems = _cover(lists=Lists(**(empty | dict(lists)))).problems
    assert f"the pattern {pattern} decides nothing" in problems


def test_an_endpoint_that_is_gone_is_found() -> None:
    """Unless not every version has it."""
    provider = Provider(
        name="p", package="p", distribution="p", server=PROVIDER.server, sessions=PROVIDER.sessions,
        endpoints=(*PROVIDER.endpoints, _endpoint("Chat.gone")),
    )  # fmt: skip
    assert _cover(provider=provider).problems == [
        "the endpoint m:Chat.gone is no method of the SDK",
        "the endpoint m:AsyncChat.gone is no method of the SDK",
    ]


def test_the_page_is_current(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the installed SDKs, every method of which is decided upon."""
    monkeypatch.setattr(sys, "argv", ["coverage.py", "--check"])
    assert (coverage.main(), capsys.readouterr().out) == (0, "")


def test_a_new_method_of_the_sdk_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A resource gains one: the check names it."""
    from openai.resources.chat.completions import AsyncCompletions

    monkeypatch.setattr(AsyncCompletions, "invent", lambda self: None, raising=False)
    monkeypatch.setattr(sys, "argv", ["coverage.py", "--check"])
    assert coverage.main() == 1
    assert "chat.completions.invent (async) is new" in capsys.readouterr().out
