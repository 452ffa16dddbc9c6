"""The service that finds the passages that bear on a question: OpenAI, embeddings, chat and the Responses API."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import openai
from pydantic import BaseModel

import otel_llm
from otel_llm.errors import GuardrailBlocked
from otel_llm_demo import service
from otel_llm_demo.corpus import Passage, passages
from otel_llm_demo.ledger import Seen

UNDERSTANDING = os.environ.get("UNDERSTANDING_URL", "http://127.0.0.1:8103")
_SETTINGS: dict[str, Any] = {
    "api_key": os.environ.get("OPENAI_API_KEY", "scripted"),
    "base_url": os.environ.get("OTEL_LLM_DEMO_OPENAI_URL"),
}
client = openai.OpenAI(**_SETTINGS)

#: The call under way in this task. A guardrail that refuses an answer hides it from us, not from the bill, so the
#: tokens of such a call are read where the answer comes in.
_seen: ContextVar[Seen | None] = ContextVar("seen", default=None)


async def _read_usage(response: Any) -> None:
    call = _seen.get()
    if call is not None and response.status_code == 200:
        await response.aread()
        call.body(response.json())


aclient = openai.AsyncOpenAI(
    **_SETTINGS, http_client=openai.DefaultAsyncHttpxClient(event_hooks={"response": [_read_usage]})
)


class SearchQuery(BaseModel):
    """A query for the index, as the model shall give it."""

    query: str


class Index:
    """The passages with their embeddings, made on first use."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._entries: list[tuple[Passage, Sequence[float]]] = []

    async def nearest(self, query: str, count: int = 2) -> list[Passage]:
        """The passages nearest to a query."""
        async with self._lock:
            if not self._entries:
                known = passages()
                self._entries = list(zip(known, await asyncio.gather(*map(_embed_passage, known)), strict=True))
        wanted = await asyncio.to_thread(_embed_query, query)
        ranked = sorted(self._entries, key=lambda entry: -_cosine(entry[1], wanted))
        return [passage for passage, _ in ranked[:count]]


index = Index()


async def retrieve(body: dict[str, Any]) -> dict[str, Any]:
    """Passages for a question and what is found in them, or why there are none."""
    question = body["question"]
    understood = await service.call(UNDERSTANDING, "/understand", {"question": question})
    if "topics" not in understood:
        return understood
    query = await asyncio.to_thread(rewrite, question, understood["topics"])
    found = await index.nearest(query)
    try:
        findings = await synthesize(question, found)
    except GuardrailBlocked as blocked:
        return {"withheld": str(blocked)}
    return {"findings": findings, "sources": [passage.source for passage in found], "intent": understood["intent"]}


@otel_llm.context(call_type="rag_query")
def rewrite(question: str, topics: Sequence[str]) -> str:
    """The question as a search query."""
    prompt = otel_llm.prompt("rag_query_rewrite")
    text = prompt.render(question=question, topics=", ".join(topics))
    with service.ledger.call() as call:
        completion = client.chat.completions.parse(
            model=prompt.config["model"], messages=[{"role": "user", "content": text}], response_format=SearchQuery
        )
        call.chat(completion.usage)
    parsed = completion.choices[0].message.parsed
    return parsed.query if parsed else question


@otel_llm.context(call_type="rag_synthesis")
async def synthesize(question: str, found: Sequence[Passage]) -> str:
    """What the passages say about the question."""
    prompt = otel_llm.prompt("rag_synthesis")
    texts = [f"{passage.source}\n{passage.text}" for passage in found]
    with service.ledger.call() as call:
        _seen.set(call)
        response = await aclient.responses.create(
            model=prompt.config["model"],
            input=prompt.render(question=question, passages=texts),
            reasoning={"effort": "low"},
        )
        return response.output_text


@otel_llm.context(call_type="embedding")
async def _embed_passage(passage: Passage) -> Sequence[float]:
    prompt = otel_llm.prompt("embed_passage")
    text = prompt.render(source=passage.source, text=passage.text)
    with service.ledger.call() as call:
        response = await aclient.embeddings.create(model=prompt.config["model"], input=text)
        call.embedding(response.usage)
    return response.data[0].embedding


@otel_llm.context(call_type="embedding")
def _embed_query(query: str) -> Sequence[float]:
    prompt = otel_llm.prompt("embed_query")
    with service.ledger.call() as call:
        response = client.embeddings.create(model=prompt.config["model"], input=prompt.render(query=query))
        call.embedding(response.usage)
    return response.data[0].embedding


def _cosine(one: Sequence[float], two: Sequence[float]) -> float:
    lengths = math.sqrt(sum(a * a for a in one) * sum(b * b for b in two))
    return sum(a * b for a, b in zip(one, two, strict=True)) / (lengths or 1.0)


if __name__ == "__main__":
    service.run("retrieval", {"/retrieve": retrieve})
