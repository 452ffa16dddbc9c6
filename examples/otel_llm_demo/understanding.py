"""The service that says what a question is about: Gemini, plain calls, asynchronous and synchronous."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from google import genai
from google.genai import types

import otel_llm
from otel_llm_demo import service

#: The SDK retries by itself when told to; a scripted provider need not be given time to recover.
_RETRY = types.HttpRetryOptions(attempts=4, initial_delay=1.0 if service.LIVE else 0.02, jitter=0.0)
client = genai.Client(
    api_key=os.environ.get("GEMINI_API_KEY", "scripted"),
    http_options=types.HttpOptions(base_url=os.environ.get("OTEL_LLM_DEMO_GEMINI_URL"), retry_options=_RETRY),
)


async def understand(body: dict[str, Any]) -> dict[str, Any]:
    """Topics and intent of a question; a question back where it is unclear; a refusal where Gemini blocks it."""
    question = body["question"]
    topics = await extract_topics(question)
    if "refused" in topics:
        return topics
    intent = await asyncio.to_thread(classify, question)
    if topics["confidence"] < 0.5:
        return {"clarification": await clarify(question)}
    return {"topics": topics["topics"], "intent": intent}


@otel_llm.context(call_type="extraction")
async def extract_topics(question: str) -> dict[str, Any]:
    """Topics of the question, as JSON."""
    prompt = otel_llm.prompt("nlu_topic_extraction")
    config = types.GenerateContentConfig(
        temperature=prompt.config["temperature"], response_mime_type="application/json"
    )
    with service.ledger.call() as call:
        response = await client.aio.models.generate_content(
            model=prompt.config["model"], contents=prompt.render(question=question), config=config
        )
        call.gemini(response.usage_metadata)
    if not response.text:
        feedback = response.prompt_feedback
        reason = feedback.block_reason.value if feedback and feedback.block_reason else "no answer"
        return {"refused": f"The provider refused the question: {reason}."}
    return _topics(response.text)


@otel_llm.context(call_type="classification")
def classify(question: str) -> str:
    """What the reader wants, in one word."""
    prompt = otel_llm.prompt("intent_classification")
    config = types.GenerateContentConfig(temperature=prompt.config["temperature"], max_output_tokens=200)
    with service.ledger.call() as call:
        response = client.models.generate_content(
            model=prompt.config["model"], contents=prompt.render(question=question), config=config
        )
        call.gemini(response.usage_metadata)
    return (response.text or "unclear").strip().lower()


@otel_llm.context(call_type="chat")
async def clarify(question: str) -> str:
    """One short question back."""
    prompt = otel_llm.prompt("clarification_question_generation")
    config = types.GenerateContentConfig(temperature=prompt.config["temperature"])
    chat = client.aio.chats.create(model=prompt.config["model"], config=config)
    with service.ledger.call() as call:
        response = await chat.send_message(prompt.render(question=question))
        call.gemini(response.usage_metadata)
    return response.text or ""


def _topics(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
        return {"topics": [str(topic) for topic in found["topics"]], "confidence": float(found["confidence"])}
    except (ValueError, KeyError, TypeError):
        return {"topics": [], "confidence": 1.0}


if __name__ == "__main__":
    service.run("understanding", {"/understand": understand})
