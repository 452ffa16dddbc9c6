"""The service that keeps the tickets (Starlette): it says how urgent each is, and leaves the rest to the worker."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import uvicorn
from google import genai
from google.genai import types
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import otel_llm
from helpdesk import service
from helpdesk.job_queue import JobQueue
from otel_llm.web import ASGIMiddleware

client = genai.Client(
    http_options=types.HttpOptions(retry_options=types.HttpRetryOptions(attempts=4, initial_delay=0.2))
)
queue = JobQueue(service.QUEUE)
questions: dict[str, list[str]] = defaultdict(list)


async def asked_before(request: Request) -> JSONResponse:
    """What a customer has asked before."""
    return JSONResponse({"questions": questions[request.query_params["user"]]})


async def open_ticket(request: Request) -> JSONResponse:
    """Open a ticket, and put it in the queue for the worker."""
    asked = await request.json()
    questions[asked["user"]].append(asked["question"])
    # The carrier says whose trace this is: whoever takes the message goes on with it.
    message = {**asked, "carrier": otel_llm.carrier(), "urgency": await triage(asked["question"])}
    ticket = await asyncio.to_thread(queue.put, "tickets", message)
    return JSONResponse({"ticket": ticket, "urgency": message["urgency"]}, status_code=201)


@otel_llm.context(call_type="classification")
async def triage(question: str) -> str:
    """How urgent a question is, in one word."""
    prompt = otel_llm.prompt("ticket_triage")
    response = await client.aio.models.generate_content(
        model=prompt.config["model"], contents=prompt.render(question=question)
    )
    return (response.text or "unknown").strip().lower()


app = ASGIMiddleware(
    Starlette(
        routes=[
            Route("/tickets", asked_before, methods=["GET"]),
            Route("/tickets", open_ticket, methods=["POST"]),
        ]
    ),
    accept_baggage=True,
)

if __name__ == "__main__":
    service.begin("tickets")
    uvicorn.run(app, port=service.port(service.TICKETS), log_config=None)
