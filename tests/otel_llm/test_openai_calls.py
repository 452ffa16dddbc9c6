"""Every method of OpenAI's SDK that does model work, sync and async: the same whole span, over a socket."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass, field
from typing import Any

import pytest
from inline_snapshot import external_file

from otel_llm.testing import Reply, ScriptedProvider, Usage
from tests.conftest import Spans
from tests.support.openai_sdk import Read, call, call_async, needs, whole

USAGE = Usage(input=100, output=50, cached=40, reasoning=20)
REPLY = Reply("A hot gas.", usage=USAGE, chunks=2)
PICTURE = ("flame.png", b"\x89PNG flame", "image/png")
FILM = ("ember.mp4", b"film", "video/mp4")
SOUND = ("flame.wav", b"RIFF flame", "audio/wav")
MODEL = {"model": "gpt-5-mini"}
TOOLS = [
    {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "flames"}},
    {"id": "fs_1", "type": "file_search_call", "status": "completed", "queries": ["flame"], "results": None},
    {
        "id": "ci_1", "type": "code_interpreter_call", "status": "completed", "code": "1+1", "container_id": "c_1",
        "outputs": [{"type": "logs", "logs": "2"}],
    },
    {
        "id": "mcp_1", "type": "mcp_call", "server_label": "forge", "name": "burn", "arguments": '{"what":"wax"}',
        "output": "burnt", "error": None, "status": "completed",
    },
    {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "iVBORw0KGgo="},
]  # fmt: skip

_VERDICTS = {"flagged": True, "categories": {"violence": True, "hate": False}, "type": "moderation_result"}
MODERATION = {
    "input": {"type": "moderation_results", "model": "omni", "results": [_VERDICTS]},
    "output": {"type": "error", "code": "timeout", "message": "No."},
}


@dataclass(frozen=True)
class Case:
    """A method, what it is called with, and how its result is read; ``spans/`` holds the span that must come of it."""

    path: str
    kwargs: dict[str, Any]
    note: str = ""
    reply: Reply = field(default_factory=lambda: REPLY)
    read: Read = "plain"

    @property
    def name(self) -> str:
        """The method, and what is special about the case."""
        return f"{self.path} {self.note}".strip()


def _images(**given: int) -> Reply:
    return Reply(usage=Usage(input=60, output=1056, input_modalities={"image": given.get("seen", 0)}))


CASES = [
    Case("completions.create", {"model": "gpt-3.5-turbo-instruct", "prompt": ["A flame", "Wax"], "max_tokens": 9}),
    Case(
        "completions.create", {"model": "gpt-3.5-turbo-instruct", "prompt": "A flame", "n": 2, "stream": True,
        "stream_options": {"include_usage": True}}, "stream", read="iterate",
    ),
    Case("chat.completions.retrieve", {"completion_id": "chatcmpl-7"}, reply=Reply("Stored.", model="gpt-5-mini")),
    Case(
        "chat.completions.create", MODEL | {"messages": [{"role": "user", "content": "Why?"}], "stream": True},
        "reasoning", Reply("Hot.", thinking="Hm, hot.", chunks=2), "iterate",
    ),
    Case(
        "chat.completions.create", MODEL | {"messages": [{"role": "user", "content": "Why?"}]}, "moderated",
        Reply("Hot.", extra={"moderation": MODERATION}),
    ),
    Case("responses.create", MODEL | {"input": "Why?"}, "tools", Reply("Hot.", items=TOOLS, usage=USAGE)),
    Case("responses.create", MODEL | {"input": "Why?", "background": True, "store": True}, "background"),
    Case(
        "responses.create",
        {"prompt": {"id": "pmpt_1", "version": "3", "variables": {"what": "wax"}}, "conversation": {"id": "conv_1"}},
        "prompt",
    ),
    Case("responses.retrieve", {"response_id": "resp_7"}),
    Case("responses.retrieve", {"response_id": "resp_7", "stream": True, "starting_after": 4}, "stream",
         read="iterate"),
    Case("responses.cancel", {"response_id": "resp_7"}),
    Case("responses.compact", MODEL | {"input": "Why?"}),
    Case("responses.input_tokens.count", MODEL | {"input": "Why?"}),
    Case("beta.responses.create", MODEL | {"input": "Why?"}),
    Case("beta.responses.create", MODEL | {"input": "Why?", "stream": True}, "stream", read="iterate"),
    Case("conversations.create", {"items": [{"type": "message", "role": "user", "content": "Hello."}]}),
    Case(
        "conversations.items.create",
        {"conversation_id": "conv_1", "items": [{"type": "message", "role": "user", "content": "Hello."}]},
    ),
    Case(
        "decisions.create",
        {"model": "gpt-6-luna", "input": "A flame.", "questions": [{"type": "predicate", "question": "Is it hot?"}]},
    ),
    Case("images.generate", {"model": "gpt-image-1", "prompt": "A flame", "n": 2, "size": "1024x1024"},
         reply=_images()),
    Case(
        "images.generate", {"model": "gpt-image-1", "prompt": "A flame", "stream": True, "partial_images": 2},
        "stream", _images(), "iterate",
    ),
    Case("images.generate", {"model": "dall-e-3", "prompt": "A flame", "response_format": "url"}, "url",
         Reply(report_usage=False)),
    Case(
        "images.edit",
        {"model": "gpt-image-1", "image": [PICTURE, io.BytesIO(b"\x89PNG two")], "prompt": "Blue", "mask": PICTURE},
        reply=_images(seen=40),
    ),
    Case("images.create_variation", {"image": PICTURE, "n": 3}, reply=Reply(report_usage=False)),
    Case("audio.speech.create", {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hot gas.",
                                 "instructions": "Whisper."}),
    Case(
        "audio.speech.create",
        {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hot gas.", "stream_format": "sse"}, "events",
    ),
    Case("audio.transcriptions.create", {"model": "gpt-4o-transcribe", "file": SOUND, "prompt": "Of fire."},
         reply=Reply("Hot gas.", usage=Usage(input=14, output=4, input_modalities={"audio": 10}))),
    Case("audio.transcriptions.create", {"model": "gpt-4o-transcribe", "file": SOUND, "stream": True}, "stream",
         reply=Reply("Hot gas.", usage=Usage(input=14, output=4)), read="iterate"),
    Case("audio.transcriptions.create", {"model": "whisper-1", "file": SOUND, "response_format": "text"}, "text"),
    Case("audio.transcriptions.create", {"model": "whisper-1", "file": SOUND, "response_format": "verbose_json"},
         "verbose"),
    Case("audio.translations.create", {"model": "whisper-1", "file": SOUND, "temperature": 0.2}),
    Case("audio.voices.create", {"audio_sample": SOUND, "consent": "cons_1", "name": "ember"}),
    Case("moderations.create", {"model": "omni-moderation-latest", "input": ["Hot gas.", "Fire!"]}, "flagged",
         Reply(finish="blocked")),
    Case(
        "moderations.create",
        {"input": [{"type": "text", "text": "Hot gas."},
                   {"type": "image_url", "image_url": {"url": "https://example.org/flame.png"}}]},
    ),
    Case("videos.create", {"model": "sora-2", "prompt": "A flame", "seconds": "8", "input_reference": PICTURE}),
    Case("videos.remix", {"video_id": "video_7", "prompt": "Bluer"}),
    Case("videos.edit", {"video": FILM, "prompt": "Bluer"}),
    Case("videos.extend", {"video": FILM, "prompt": "Longer", "seconds": "4"}),
    Case("videos.retrieve", {"video_id": "video_7"}),
    Case("videos.retrieve", {"video_id": "video_7"}, "failed", Reply(state="failed", error="No.")),
    Case("videos.download_content", {"video_id": "video_7"}, read="bytes"),
    Case("videos.create_character", {"name": "Ember", "video": FILM}),
    Case("batches.create", {"completion_window": "24h", "endpoint": "/v1/responses", "input_file_id": "file-1"}),
    Case("batches.retrieve", {"batch_id": "batch_7"}),
    Case("batches.cancel", {"batch_id": "batch_7"}),
    Case("vector_stores.search", {"vector_store_id": "vs_1", "query": "flame", "max_num_results": 3}),
    Case("vector_stores.files.create", {"vector_store_id": "vs_1", "file_id": "file-1"}),
    Case("vector_stores.file_batches.create", {"vector_store_id": "vs_1", "file_ids": ["file-1"]}),
    Case("fine_tuning.jobs.create", {"model": "gpt-4.1-mini", "training_file": "file-1"}),
    Case("fine_tuning.jobs.cancel", {"fine_tuning_job_id": "ftjob_7"}),
    Case("fine_tuning.jobs.pause", {"fine_tuning_job_id": "ftjob_7"}),
    Case("fine_tuning.jobs.resume", {"fine_tuning_job_id": "ftjob_7"}),
    Case(
        "fine_tuning.alpha.graders.run",
        {"grader": {"type": "string_check", "name": "hot", "input": "{{sample.output_text}}", "operation": "eq",
                    "reference": "hot"}, "model_sample": "hot"},
    ),
    Case("evals.runs.create", {"eval_id": "eval_1", "data_source": {"type": "jsonl", "source": {"type": "file_id",
                                                                                             "id": "file-1"}}}),
    Case("evals.runs.retrieve", {"eval_id": "eval_1", "run_id": "evalrun_7"}),
    Case("evals.runs.cancel", {"eval_id": "eval_1", "run_id": "evalrun_7"}),
    Case("content_provenance_checks.create", {"file": PICTURE}),
    Case("beta.assistants.create", MODEL | {"name": "smith", "instructions": "Forge."}),
    Case("beta.threads.runs.create", {"thread_id": "thread_1", "assistant_id": "asst_1",
                                      "additional_messages": [{"role": "user", "content": "Why?"}]}),
    Case("beta.threads.runs.create", {"thread_id": "thread_1", "assistant_id": "asst_1", "stream": True}, "stream",
         read="iterate"),
    Case("beta.threads.runs.retrieve", {"thread_id": "thread_1", "run_id": "run_7"}),
    Case("beta.threads.runs.cancel", {"thread_id": "thread_1", "run_id": "run_7"}),
    Case(
        "beta.threads.runs.submit_tool_outputs",
        {"thread_id": "thread_1", "run_id": "run_7", "tool_outputs": [{"tool_call_id": "c1", "output": "burnt"}]},
    ),
    Case("beta.threads.create_and_run", {"assistant_id": "asst_1", "thread": {"messages": [{"role": "user",
                                                                                           "content": "Why?"}]}}),
    Case("beta.agents.create", MODEL | {"name": "smith", "instructions": "Forge.", "reasoning": {"effort": "low"}}),
    Case("beta.agents.sessions.create", {"agent_id": "agent_1", "environment": {"type": "none"}, "input": "Why?"}),
    Case(
        "beta.agents.sessions.create",
        {"agent_id": "agent_1", "environment": {"type": "none"}, "input": "Why?", "stream": True}, "stream",
        read="iterate",
    ),
    Case(
        "beta.agents.sessions.events.create",
        {"session_id": "as_1", "events": [{"type": "agent.session.input.message", "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Why?"}]}]}]},
    ),
    Case("beta.agents.sessions.events.stream", {"session_id": "as_1"}, read="iterate"),
    Case("realtime.calls.create", {"sdp": "v=0", "session": {"type": "realtime", "model": "gpt-realtime"}}),
    Case("realtime.calls.accept", {"call_id": "rtc_7", "type": "realtime", "model": "gpt-realtime"}),
    Case(
        "live.create",
        {"session": {"type": "realtime", "model": "gpt-realtime"}, "transport": {"type": "webrtc", "sdp": "v=0"}},
    ),
    Case("live.sessions.accept", {"session_id": "sess_7", "session": {"model": "gpt-realtime"}}),
    Case("live.sessions.fork", {"session_id": "sess_7", "transport": {"type": "webrtc", "sdp": "v=0"}}),
    Case("beta.agents.automations.invocations.create", {"automation_id": "auto_1"}),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the SDK's, for assistants
@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name, marks=needs(case.path)) for case in CASES])
def test_the_whole_span(case: Case, mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """A method gives the same span whether it is called sync or async."""
    provider.script(lambda request: case.reply)
    if mode == "sync":
        call(provider, case.path, case.kwargs, case.read)
    else:
        asyncio.run(call_async(provider, case.path, case.kwargs, case.read))
    assert whole(instrumented) == external_file(f"spans/openai/{case.name.replace(' ', '-')}.json")
