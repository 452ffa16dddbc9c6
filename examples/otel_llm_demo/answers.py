"""The ways in which ``web`` makes an answer: every kind of streaming the two SDKs have, a tool, and a way out."""

from __future__ import annotations

import json
import os
from typing import Any

import openai
from google import genai
from google.genai import errors, types

import otel_llm
from otel_llm_demo import service

_SETTINGS: dict[str, Any] = {
    "api_key": os.environ.get("OPENAI_API_KEY", "scripted"),
    "base_url": os.environ.get("OTEL_LLM_DEMO_OPENAI_URL"),
}
client = openai.OpenAI(**_SETTINGS)
aclient = openai.AsyncOpenAI(**_SETTINGS)
gemini = genai.Client(
    api_key=os.environ.get("GEMINI_API_KEY", "scripted"),
    http_options=types.HttpOptions(base_url=os.environ.get("OTEL_LLM_DEMO_GEMINI_URL")),
)

_TOOL: Any = {
    "type": "function",
    "function": {
        "name": "subtract",
        "description": "Subtract one whole number from another.",
        "parameters": {
            "type": "object",
            "properties": {"number": {"type": "integer"}, "less": {"type": "integer"}},
            "required": ["number", "less"],
        },
    },
}


async def by_gemini(text: str) -> str:
    """Streamed by Gemini; where the stream breaks, OpenAI answers instead."""
    answer = ""
    try:
        with service.ledger.call() as call:
            async for chunk in await gemini.aio.models.generate_content_stream(model=service.FLASH, contents=text):
                call.gemini(chunk.usage_metadata)
                answer += chunk.text or ""
    except errors.APIError:
        return await by_responses(text)
    return answer


async def by_openai(text: str) -> str:
    """Streamed by OpenAI, chunk by chunk."""
    answer = ""
    with service.ledger.call() as call:
        stream = await aclient.chat.completions.create(
            model=service.LUNA,
            messages=[{"role": "user", "content": text}],
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in stream:
            call.chat(chunk.usage)
            answer += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    return answer


def by_openai_helper(text: str) -> str:
    """Streamed by OpenAI, with the SDK's helper that puts the chunks together."""
    with (
        service.ledger.call() as call,
        client.chat.completions.stream(
            model=service.LUNA, messages=[{"role": "user", "content": text}], stream_options={"include_usage": True}
        ) as stream,
    ):
        completion = stream.get_final_completion()
        call.chat(completion.usage)
    return completion.choices[0].message.content or ""


async def by_responses(text: str) -> str:
    """Streamed by OpenAI's Responses API."""
    with service.ledger.call() as call:
        async with aclient.responses.stream(model=service.MINI, input=text) as stream:
            response = await stream.get_final_response()
        call.response(response.usage)
    return response.output_text


def with_a_tool(text: str) -> str:
    """Two calls of OpenAI: the model asks for a sum, gets it, and answers."""
    messages: list[Any] = [{"role": "user", "content": text}]
    for _ in range(3):
        with service.ledger.call() as call:
            completion = client.chat.completions.create(model=service.LUNA, messages=messages, tools=[_TOOL])
            call.chat(completion.usage)
        message = completion.choices[0].message
        if not message.tool_calls:
            return message.content or ""
        messages.append(message.model_dump(exclude_none=True))
        for wanted in message.tool_calls:
            result = _subtract(wanted.function.arguments) if wanted.type == "function" else "unknown tool"
            messages.append({"role": "tool", "tool_call_id": wanted.id, "content": result})
    return ""


def lesson(question: str, findings: str) -> str:
    """A classroom script, streamed by a chat of Gemini."""
    prompt = otel_llm.prompt("educational_script_generation")
    config = types.GenerateContentConfig(temperature=prompt.config["temperature"])
    chat = gemini.chats.create(model=prompt.config["model"], config=config)
    answer = ""
    with service.ledger.call() as call:
        for chunk in chat.send_message_stream(prompt.render(question=question, findings=findings)):
            call.gemini(chunk.usage_metadata)
            answer += chunk.text or ""
    return answer


@otel_llm.context(call_type="sentiment_analysis")
def tone(question: str) -> str:
    """How the reader may take an answer that was withheld."""
    prompt = otel_llm.prompt("tone_check")
    # The prompt's model is one of our own, which no price list knows; it exists in the script only.
    model = service.LUNA if service.LIVE else prompt.config["model"]
    messages: list[Any] = [{"role": "user", "content": prompt.render(question=question)}]
    with service.ledger.call() as call:
        completion = client.chat.completions.create(model=model, messages=messages)
        call.chat(completion.usage)
    return completion.choices[0].message.content or ""


@otel_llm.context(call_type="summarization")
def summary(questions: list[str]) -> str:
    """The session in a sentence or two."""
    prompt = otel_llm.prompt("session_summary")
    with service.ledger.call() as call:
        response = client.responses.create(model=prompt.config["model"], input=prompt.render(questions=questions))
        call.response(response.usage)
    return response.output_text


def _subtract(arguments: str) -> str:
    try:
        given = json.loads(arguments)
        return str(int(given["number"]) - int(given["less"]))
    except (ValueError, KeyError, TypeError):
        return "The arguments must be two whole numbers."
