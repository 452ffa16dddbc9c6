"""Calls by what they are for, and the steps between them: each is used as :class:`otel_llm.call` is.

The ten call types come first; all but ``embedding`` and ``rag_query`` are chats that say what they are for. Steps
(``rag_query``, ``tool``, ``agent``, ``workflow``) are spans of the conventions around which nothing is priced, and
calls inside them are their children.

>>> from otel_llm import kinds
>>> with kinds.rag_query(question, top_k=5, data_source="handbook") as step:
...     step.complete(index.search(question, 5))
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Unpack

from otel_llm import attributes as a
from otel_llm.manual import Recipe, Step, call
from otel_llm.manual.calls import Placed, Said, stamp
from otel_llm.manual.own import Asked, step
from otel_llm.messages import Message
from otel_llm.provider import Endpoint


def chat(**said: Unpack[Said]) -> call:
    """An answer to a user, in a conversation."""
    return call(call_type="chat", **said)


def rag_synthesis(**said: Unpack[Said]) -> call:
    """An answer made of what was retrieved."""
    return call(call_type="rag_synthesis", **said)


def sentiment_analysis(**said: Unpack[Said]) -> call:
    """How a text feels about something."""
    return call(call_type="sentiment_analysis", **said)


def summarization(**said: Unpack[Said]) -> call:
    """A text made shorter."""
    return call(call_type="summarization", **said)


def classification(**said: Unpack[Said]) -> call:
    """What a text is, or wants: complete it with ``intent`` and ``confidence``."""
    return call(call_type="classification", **said)


def extraction(**said: Unpack[Said]) -> call:
    """Data taken out of a text."""
    return call(call_type="extraction", **said)


def system(**said: Unpack[Said]) -> call:
    """What the application asks for its own sake."""
    return call(call_type="system", **said)


def other(**said: Unpack[Said]) -> call:
    """Anything else."""
    return call(call_type="other", **said)


def embedding(**said: Unpack[Said]) -> call:
    """Vectors of texts: ``input`` is one or a list; complete it with the vectors, whose size is recorded."""
    return call("embeddings", call_type="embedding", **said)


def _nothing_said(_: Any) -> list[Message]:
    return []


def _no_details(_: Any) -> Mapping[a.Attribute, Any]:
    return {}


_RESULT: dict[str, Any] = {"output_messages": _nothing_said, "details": _no_details}

_RETRIEVAL = step(
    "retrieval", "data_source", a.DATA_SOURCE_ID, internal=False,
    parameters={"top_k": a.RETRIEVAL_TOP_K}, content={"query": a.RETRIEVAL_QUERY}, result=a.RETRIEVAL_DOCUMENTS,
    **_RESULT,
)  # fmt: skip
_TOOL = step(
    "execute_tool", "name", a.TOOL_NAME,
    parameters={"id": a.TOOL_CALL_ID, "type": a.TOOL_TYPE, "description": a.TOOL_DESCRIPTION},
    content={"arguments": a.TOOL_ARGUMENTS}, result=a.TOOL_RESULT,
    **_RESULT,
)  # fmt: skip
_AGENT = step("invoke_agent", "name", a.AGENT_NAME, parameters={"id": a.AGENT_ID})
_WORKFLOW = step("invoke_workflow", "name", a.WORKFLOW_NAME)


def _step(endpoint: Endpoint, params: Mapping[str, Any], call_type: str | None, placed: Placed) -> Recipe[Step]:
    return Recipe(Step, _asked(endpoint, params, call_type, placed))


def _asked(endpoint: Endpoint, params: Mapping[str, Any], call_type: str | None, placed: Placed) -> Asked:
    return Asked(
        endpoint=endpoint,
        params=params,
        parent=placed.get("parent"),
        links=placed.get("links", ()),
        stamp=stamp(call_type, placed.get("tags"), placed.get("metadata")),
    )


def rag_query(
    query: str | None = None, *, top_k: int | None = None, data_source: str | None = None, **placed: Unpack[Placed]
) -> Recipe[Step]:
    """A search for what an answer is to be made of; complete it with the documents that were found."""
    return _step(_RETRIEVAL, {"query": query, "top_k": top_k, "data_source": data_source}, "rag_query", placed)


def agent(name: str, *, id: str | None = None, input: Any = None, **placed: Unpack[Placed]) -> Recipe[Step]:
    """An agent at work in this process; complete it with its answer."""
    return _step(_AGENT, {"name": name, "id": id, "input": input}, None, placed)


def workflow(name: str, *, input: Any = None, **placed: Unpack[Placed]) -> Recipe[Step]:
    """A pipeline, a graph or a crew; its name should be one of few."""
    return _step(_WORKFLOW, {"name": name, "input": input}, None, placed)


class tool(Recipe[Step]):
    """A tool that is run for a model; complete it with what it gave.

    ``arguments`` are what the model gave it, ``id`` is the model's id of the call, ``type`` is function, extension or
    datastore. Around a function, name, description and arguments are the function's where they are not given.
    """

    def __init__(
        self,
        name: str | None = None,
        arguments: Any = None,
        *,
        id: str | None = None,
        description: str | None = None,
        type: str = "function",
        **placed: Unpack[Placed],
    ) -> None:
        params = {"name": name, "arguments": arguments, "id": id, "description": description, "type": type}
        super().__init__(Step, _asked(_TOOL, params, None, placed))

    def _params(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        params = super()._params(function, args, kwargs)
        if params["name"] is None:
            params["name"] = function.__name__
        if params["description"] is None:
            params["description"] = inspect.getdoc(function)
        if params["arguments"] is None:
            bound = inspect.signature(function).bind(*args, **kwargs).arguments
            params["arguments"] = {name: value for name, value in bound.items() if name not in ("self", "cls")}
        return params
