"""The service that readers talk to: it streams the answer from Gemini or OpenAI."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import otel_llm
from otel_llm_demo import answers, service

RETRIEVAL = os.environ.get("RETRIEVAL_URL", "http://127.0.0.1:8102")


async def ask(body: dict[str, Any]) -> dict[str, Any]:
    """Answer a question; ``style`` says how, ``last`` that the reader leaves and the session is summed up."""
    question = body["question"]
    found = await service.call(RETRIEVAL, "/retrieve", {"question": question})
    if "findings" in found:
        text = await answer(question, found["findings"], body.get("style", "gemini"))
    else:
        text = found.get("clarification") or found.get("withheld") or found.get("refused", "")
    if "withheld" in found:
        await asyncio.to_thread(answers.tone, question)
    reply = {"answer": text, "outcome": next((k for k in ("withheld", "refused", "clarification") if k in found), "ok")}
    if body.get("last"):
        reply["summary"] = await asyncio.to_thread(answers.summary, [*body.get("history", []), question])
    return reply


async def answer(question: str, findings: str, style: str) -> str:
    """The answer, streamed."""
    if style == "lesson":
        with otel_llm.context(call_type="other", tags=["lesson"]):
            return await asyncio.to_thread(answers.lesson, question, findings)
    text = otel_llm.prompt("rag_answer").render(question=question, findings=findings)
    with otel_llm.context(call_type="chat"):
        if style == "openai":
            return await answers.by_openai(text)
        if style == "helper":
            return await asyncio.to_thread(answers.by_openai_helper, text)
        if style == "tools":
            return await asyncio.to_thread(answers.with_a_tool, text)
        return await answers.by_gemini(text)


if __name__ == "__main__":
    service.run("web", {"/ask": ask})
