"""Reading responses by paths."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace as Thing
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from otel_llm import attributes as a
from otel_llm.provider import Endpoint, dig, fields
from otel_llm.providers import google_content, openai_responses, openai_text


def _endpoint(paths: Any) -> Endpoint:
    return Endpoint(
        module="m",
        method="C.m",
        async_method="A.m",
        operation="chat",
        parameters={},
        unrecorded=frozenset(),
        paths=paths,
    )


WHOLE = Thing(
    model="m1",
    usage=Thing(prompt=10, thoughts=3, answer=4, details=None),
)
PATHS = {
    a.RESPONSE_MODEL: "model",
    a.INPUT_TOKENS: "usage.prompt",
    a.OUTPUT_TOKENS: ("usage.answer", "usage.thoughts"),
    a.REASONING_TOKENS: "usage.thoughts",
    a.CACHE_READ_TOKENS: "usage.details.cached",
}


def test_paths_are_followed_and_summed() -> None:
    """A value, a sum of two paths; one path may fill two attributes; None is left out."""
    assert _endpoint(PATHS).read(WHOLE) == {
        "gen_ai.response.model": "m1",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.reasoning.output_tokens": 3,
    }


@pytest.mark.parametrize(
    "response",
    [
        Thing(model="m1", usage=Thing(prompt=10)),
        {"model": "m1", "usage": {"prompt": 10}},
        {"model": "m1", "usage": Thing(prompt=10), "more": []},
    ],
)
def test_what_is_missing_is_left_out(response: Any) -> None:
    """Objects of an older SDK without some of the fields, and plain mappings."""
    assert _endpoint(PATHS).read(response) == {"gen_ai.response.model": "m1", "gen_ai.usage.input_tokens": 10}


def test_one_part_of_a_sum_is_the_sum() -> None:
    """Thoughts alone are output."""
    assert _endpoint(PATHS).read(Thing(usage=Thing(thoughts=3)))["gen_ai.usage.output_tokens"] == 3


class Model(BaseModel):
    """A model of an SDK's, which takes fields that it does not know."""

    model_config = ConfigDict(extra="allow")
    id: str = "1"


class Slots:
    """An object without a dictionary."""

    __slots__ = ("id",)

    def __init__(self) -> None:
        self.id = "1"


class Proxy:
    """An object that makes its fields when they are asked for."""

    def __getattr__(self, name: str) -> str:
        if name == "id":
            return "1"
        raise AttributeError(name)


class Worked(Thing):
    """An object with a field that is worked out."""

    @property
    def id(self) -> str:
        """The id."""
        return "1"


@pytest.mark.parametrize(
    "thing",
    [{"id": "1"}, OrderedDict(id="1"), Thing(id="1"), Model(), Model(id="1", more="2"), Slots(), Proxy(), Worked()],
    ids=lambda thing: type(thing).__name__,
)
def test_fields_of_any_object(thing: Any) -> None:
    """As they lie, or asked for where they do not."""
    assert fields(thing).get("id") == "1"
    assert fields(thing).get("missing") is None
    assert dig({"outer": thing}, "outer", "id") == "1"
    assert dig({"outer": thing}, "outer", "missing", "more") is None
    assert _endpoint({a.RESPONSE_ID: "id", a.RESPONSE_MODEL: "missing"}).read(thing) == {"gen_ai.response.id": "1"}


def test_fields_that_a_model_does_not_know() -> None:
    """They are among the others."""
    assert dig(Model(more={"deep": 3}), "more", "deep") == 3
    assert _endpoint({a.INPUT_TOKENS: "more.deep"}).read(Model(more={"deep": 3})) == {"gen_ai.usage.input_tokens": 3}


def test_nothing_has_no_fields() -> None:
    """Of what is not there, all is missing."""
    assert dict(fields(None)) == {}
    assert dig(None, "id") is None


class Looked(dict[str, Any]):
    """Parameters that note which of them were looked at."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """Notes it."""
        self.names.add(key)
        return super().get(key, default)


@pytest.mark.parametrize(
    ("read", "names"),
    [
        (openai_text._chat_request, {"n", "response_format"}),
        (openai_responses._request, openai_responses._SAY_MORE),
        (google_content._request, google_content._SAY_MORE),
    ],
    ids=["chat", "responses", "gemini"],
)
def test_what_says_more_of_a_request_is_known(read: Any, names: Any) -> None:
    """A request that has none of these parameters is not looked at, and one that has is looked at for them only."""
    assert read(Looked({"model": "m"})) == {}
    for name in names:
        params = Looked({name: None})
        assert read(params) == {}
        assert params.names == set(names)
