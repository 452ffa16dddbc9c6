"""The service that customers talk to (FastAPI): it streams the answer, then opens a ticket."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import uvicorn
from fastapi import FastAPI, Header
from fastapi.responses import StreamingResponse
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from pydantic import BaseModel

import otel_llm
from helpdesk import service
from otel_llm.web import ASGIMiddleware

SORRY = "\nSorry, something went wrong. A colleague will write to you."

logger = logging.getLogger(__name__)
client = httpx.AsyncClient(timeout=60)
app = FastAPI()
app.add_middleware(ASGIMiddleware)  # the public may set X-Request-ID, but no baggage


class Question(BaseModel):
    """What a customer asks, in which session."""

    text: str
    session: str


@app.post("/ask")
async def ask(
    question: Question,
    x_user_id: Annotated[str, Header()],
    x_company_id: Annotated[str, Header()],
) -> StreamingResponse:
    """The answer as plain text, piece by piece. The two headers stand in for your login."""
    return StreamingResponse(reply(question, x_user_id, x_company_id), media_type="text/plain")


async def reply(question: Question, user: str, company: str) -> AsyncIterator[str]:
    """Runs after ``ask`` has returned; it is part of the request's trace all the same."""
    # With baggage the other services learn it too: each of their model calls is this customer's.
    with otel_llm.context(user_id=user, tenant_id=company, session_id=question.session, baggage=True):
        answer = ""
        asked = {"question": question.text, "user": user}
        try:
            async with client.stream("POST", f"{service.ANSWERS}/answer", json=asked) as response:
                response.raise_for_status()
                async for piece in response.aiter_text():
                    answer += piece
                    yield piece
        except httpx.HTTPError as error:
            logger.warning("the answer broke off: %s", error or type(error).__name__)
            yield SORRY
        opened = await client.post(f"{service.TICKETS}/tickets", json={**asked, "answer": answer})
        logger.info("answered", extra={"ticket": opened.json()["ticket"], "characters": len(answer)})


FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])

if __name__ == "__main__":
    service.begin("gateway")
    uvicorn.run(app, port=service.port(service.GATEWAY), log_config=None)
