"""The customers: they ask all at once, as customers do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import requests


@dataclass(frozen=True, slots=True)
class Customer:
    """Who asks, and what."""

    user: str
    company: str
    question: str


CUSTOMERS = (
    Customer("ada", "acme", "How far does the battery take me in winter?"),
    Customer("grace", "acme", "May I send back a bicycle with custom paint?"),
    Customer("linus", "initech", "My brake lever reaches the handlebar. May I ride home?"),
    Customer("guido", "initech", "When will my bicycle arrive, and do I need tools?"),
    Customer("margaret", "hooli", "How long does a refund take?"),
)


def ask(gateway: str, customer: Customer, session: str) -> tuple[str, str]:
    """The answer to a customer's question, and the id of the trace in which it was found."""
    response = requests.post(
        f"{gateway}/ask",
        json={"text": customer.question, "session": session},
        headers={"x-user-id": customer.user, "x-company-id": customer.company},
        timeout=120,
    )
    response.raise_for_status()
    return response.text, response.headers["X-Trace-ID"]


def play(gateway: str, told: Callable[[Customer, str], None]) -> list[str]:
    """Every customer asks; ``told`` is given each answer. The ids of their traces."""
    with ThreadPoolExecutor(len(CUSTOMERS)) as pool:
        asked = [pool.submit(ask, gateway, customer, f"session-{customer.user}") for customer in CUSTOMERS]
        answers = [future.result() for future in asked]
    for customer, (answer, _) in zip(CUSTOMERS, answers, strict=True):
        told(customer, answer)
    return [trace_id for _, trace_id in answers]
