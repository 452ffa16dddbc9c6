"""What of OpenAI's API the scripted provider answers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from otel_llm.testing import openai_responses, openai_wire
from otel_llm.testing.wire import Route

ROUTES: Sequence[Route] = (
    ("POST", re.compile(r"(/deployments/(?P<model>[^/]+))?/chat/completions$"), "chat.completions", openai_wire.chat),
    ("POST", re.compile(r"/responses$"), "responses", openai_responses.responses),
    ("POST", re.compile(r"(/deployments/(?P<model>[^/]+))?/embeddings$"), "embeddings", openai_wire.embeddings),
)
