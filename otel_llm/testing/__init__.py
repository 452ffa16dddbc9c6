"""A scripted provider for tests and demonstrations: OpenAI's and Gemini's wire formats on loopback, no key needed.

It answers the real SDKs over a real socket, with whatever a script says::

    from otel_llm.testing import Reply, ScriptedProvider

    with ScriptedProvider([Reply(status=429, retry_after=0), Reply("Hello.")]) as provider:
        client = openai.OpenAI(api_key="x", base_url=provider.openai_base_url)
        client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "Hi"}])
        assert len(provider.requests) == 2

    genai.Client(api_key="x", http_options={"base_url": provider.gemini_base_url})

Sessions are spoken on the same port (``OpenAI(websocket_base_url=…)``, with ``ws`` for ``http``), and Gemini's, which
insist on TLS, on one of their own (``genai.Client(http_options=provider.gemini_live_options)``): each turn asks the
script, audio of zeros is silence, and a :class:`Reply` whose ``body`` is a JSON list is sent message by message.

Standard library only, but for sessions, which need packages that their SDKs bring. A script is a list of :class:`Reply`
or a function from :class:`Request` to :class:`Reply`.
"""

from otel_llm.testing.provider import ScriptedProvider
from otel_llm.testing.script import Reply, Request, Script, ToolCall, Usage, default_reply

__all__ = ["Reply", "Request", "Script", "ScriptedProvider", "ToolCall", "Usage", "default_reply"]
