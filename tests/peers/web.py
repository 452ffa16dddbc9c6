"""A WSGI application that asks a model, for gunicorn: instrumented as it is imported, before the fork or after it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import openai

import otel_llm

otel_llm.instrument()

client = openai.OpenAI(api_key="x", base_url=os.environ["BASE_URL"])


def ask(who: str) -> None:
    """One call, with a stream that is left in its middle beside it."""
    asked: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}
    with otel_llm.context(user_id=who):
        client.with_options(max_retries=0).chat.completions.create(**asked)


if os.environ.get("ASK_FIRST"):  # before a fork: with an open connection to the receiver
    ask("import")
    otel_llm.flush()
    client.close()
    client = openai.OpenAI(api_key="x", base_url=os.environ["BASE_URL"])


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers with the process that did."""
    ask(environ["PATH_INFO"])
    start_response("200 OK", [("content-type", "text/plain")])
    return [str(os.getpid()).encode()]
