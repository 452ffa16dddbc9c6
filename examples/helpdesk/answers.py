"""The service that answers (Flask): it searches the articles and lets a model write. The customer sees one answer;
behind it are four model calls."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import openai
import requests
from flask import Flask, Response, request
from werkzeug.serving import make_server

import otel_llm
from helpdesk import service
from otel_llm.web import WSGIMiddleware

logger = logging.getLogger(__name__)
client = openai.OpenAI()
app = Flask(__name__)
app.wsgi_app = WSGIMiddleware(app.wsgi_app, accept_baggage=True)  # type: ignore[method-assign] # it is Flask's way


class Index:
    """The articles with their embeddings."""

    def __init__(self, articles: Sequence[str]) -> None:
        self._articles = list(zip(articles, _embed(articles), strict=True))

    def nearest(self, query: str) -> str:
        """The article that is nearest to a query."""
        text = otel_llm.prompt("embed_query").render(query=query)
        (wanted,) = _embed([text])
        return max(self._articles, key=lambda article: _cosine(article[1], wanted))[0]


@app.post("/answer")
def answer() -> Response:
    """Streams the answer as plain text. Body: ``{"question": …, "user": …}``."""
    asked = request.get_json()
    earlier = requests.get(f"{service.TICKETS}/tickets", params={"user": asked["user"]}, timeout=10).json()["questions"]
    query = rewrite(asked["question"], earlier)
    article = app.config["INDEX"].nearest(query)
    return Response(write(asked["question"], article), mimetype="text/plain")


@otel_llm.context(call_type="rag_query")
def rewrite(question: str, earlier: Sequence[str]) -> str:
    """The question as a search query."""
    prompt = otel_llm.prompt("query_rewrite")
    completion = client.chat.completions.create(
        model=prompt.config["model"],
        messages=[{"role": "user", "content": prompt.render(question=question, earlier=earlier[-3:])}],
    )
    return completion.choices[0].message.content or question


def write(question: str, article: str) -> Iterator[str]:
    """The answer, piece by piece. Flask asks for the pieces when ``answer`` has long returned."""
    prompt = otel_llm.prompt("support_answer")
    text = ""
    with (
        otel_llm.context(call_type="rag_synthesis"),
        client.chat.completions.create(
            model=prompt.config["model"],
            messages=[{"role": "user", "content": prompt.render(question=question, article=article)}],
            stream=True,
            stream_options={"include_usage": True},
        ) as stream,
    ):
        for chunk in stream:
            if piece := (chunk.choices[0].delta.content or "") if chunk.choices else "":
                text += piece
                yield piece
    logger.info("written", extra={"tone": tone(text)})


@otel_llm.context(call_type="sentiment_analysis")
def tone(text: str) -> str:
    """How the answer sounds, for the desk's own statistics."""
    prompt = otel_llm.prompt("tone_check")
    response = client.responses.create(model=prompt.config["model"], input=prompt.render(answer=text))
    return response.output_text


@otel_llm.context(call_type="embedding")
def _embed(texts: Sequence[str]) -> list[list[float]]:
    model = otel_llm.prompt("embed_query").config["model"]
    response = client.embeddings.create(model=model, input=list(texts))
    return [item.embedding for item in response.data]


def _cosine(one: Sequence[float], two: Sequence[float]) -> float:
    lengths = math.hypot(*one) * math.hypot(*two)
    return sum(a * b for a, b in zip(one, two, strict=True)) / (lengths or 1.0)


if __name__ == "__main__":
    service.begin("answers")
    files = sorted((Path(__file__).parent / "articles").glob("*.txt"))
    app.config["INDEX"] = Index([file.read_text(encoding="utf-8") for file in files])
    make_server("127.0.0.1", service.port(service.ANSWERS), app, threaded=True).serve_forever()
