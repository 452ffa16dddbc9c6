"""The readers: they come to the desk all at once, and each asks one question after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

from otel_llm_demo.dialogue import VISITS, Turn, Visit

#: Told after each question: who asked what, and the desk's reply.
Progress = Callable[[Visit, Turn, dict[str, Any]], None]


def questions() -> int:
    """How many questions there are."""
    return sum(len(visit.turns) for visit in VISITS)


async def play(web: str, progress: Progress) -> None:
    """Ask every question of the dialogue at the address ``web``."""
    async with ClientSession(timeout=ClientTimeout(total=300)) as session:
        await asyncio.gather(*(_visit(session, web, visit, progress) for visit in VISITS))


async def _visit(session: ClientSession, web: str, visit: Visit, progress: Progress) -> None:
    headers = {"x-user-id": visit.user, "x-session-id": visit.session}
    history: list[str] = []
    for turn in visit.turns:
        body = {"question": turn.question, "style": turn.style, "history": history, "last": turn is visit.turns[-1]}
        try:
            async with session.post(f"{web}/ask", json=body, headers=headers) as response:
                reply = await response.json()
                reply.setdefault("outcome", reply.get("error"))
        except (ClientError, TimeoutError) as error:
            reply = {"outcome": f"{type(error).__name__}: {error}"}
        history.append(turn.question)
        progress(visit, turn, reply)
