"""The worker: it sums up each ticket in the customer's own trace, and every five of them in a digest for the team."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import openai

import otel_llm
from helpdesk import service
from helpdesk.job_queue import JobQueue

BATCH = 5

logger = logging.getLogger(__name__)
client = openai.OpenAI()
queue = JobQueue(service.QUEUE)


def sum_up(ticket: dict[str, Any]) -> None:
    """One job of one customer: it goes on with the trace that the message carries."""
    with (
        otel_llm.job("sum up", ticket["carrier"], job_id=ticket["id"], queue="tickets", accept_baggage=True),
        otel_llm.context(call_type="summarization", metadata={"ticket_id": ticket["id"]}),
    ):
        prompt = otel_llm.prompt("ticket_summary")
        text = prompt.render(question=ticket["question"], answer=ticket["answer"])
        response = client.responses.create(model=prompt.config["model"], input=text)
        queue.put("summaries", {"summary": response.output_text, "carrier": otel_llm.carrier()})
        logger.info("summed up", extra={"urgency": ticket["urgency"]})


def digest(summaries: Sequence[dict[str, Any]]) -> None:
    """One job of many customers: a trace of its own, with a link to each of theirs."""
    carriers = [summary["carrier"] for summary in summaries]
    with (
        otel_llm.job("digest", carriers, job_id=summaries[0]["id"], queue="summaries"),
        otel_llm.context(call_type="summarization"),
    ):
        prompt = otel_llm.prompt("team_digest")
        text = prompt.render(summaries=[summary["summary"] for summary in summaries])
        response = client.responses.create(model=prompt.config["model"], input=text)
        logger.info("digest", extra={"digest": response.output_text})


def work() -> bool:
    """Does what waits in the queue, and says whether there was anything."""
    if messages := queue.take("tickets", 1):
        job = partial(sum_up, messages[0])
    elif messages := queue.take("summaries", BATCH):
        job = partial(digest, messages)
    else:
        return False
    try:
        job()
    except Exception:
        logger.exception("a job failed")  # your broker gives it to somebody again
    queue.done(messages)
    return True


if __name__ == "__main__":
    service.begin("worker")
    while True:
        if not work():
            time.sleep(0.05)
