"""What the scripted provider says where no key is at hand: an answer to every prompt, told by its first words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from otel_llm.testing import Reply, Request, Script, ScriptedProvider, default_reply

_REPLIES = {
    "Answer the customer": Reply(
        "Yes. The details are in the article that I have found for you, and a colleague is told of your question too.",
        chunks=8,
        chunk_delay=0.02,
    ),
    "Say in one word how this answer sounds": Reply("friendly"),
    "Say in one word how urgent this is": Reply("normal"),
    "Sum up this ticket": Reply("A customer asked something and was told where it is written."),
    "Say in two sentences what customers": Reply("Customers asked for facts. All were given an article."),
}


class Answers:
    """A script for :class:`otel_llm.testing.ScriptedProvider`: the first rewrite is refused once, for the picture."""

    def __init__(self) -> None:
        self._refused = False

    def __call__(self, request: Request) -> Reply:
        """The reply to a request of one of the processes."""
        text = request.text
        if "Rewrite the customer's question" in text:
            if not self._refused:
                self._refused = True
                return Reply(status=429, retry_after=0.05)
            return Reply(text.strip().splitlines()[-1][:60], delay=0.03)
        return next((reply for start, reply in _REPLIES.items() if text.startswith(start)), default_reply(request))


@contextmanager
def providers(script: Script | None = None) -> Iterator[dict[str, str]]:
    """A scripted provider, and the variables that lead both SDKs to it, without keys."""
    with ScriptedProvider(script or Answers()) as provider:
        yield {
            "OPENAI_API_KEY": "scripted",
            "OPENAI_BASE_URL": provider.openai_base_url,
            "GEMINI_API_KEY": "scripted",
            "GOOGLE_GEMINI_BASE_URL": provider.gemini_base_url,
        }
