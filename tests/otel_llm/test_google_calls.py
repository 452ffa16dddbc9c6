"""Every method of Google's SDK that does model work, on both APIs, sync and async: the same whole span."""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.genai import types
from inline_snapshot import external_file

import otel_llm
from otel_llm.testing import Reply, ScriptedProvider, ToolCall, Usage
from tests.conftest import Spans
from tests.support.google_sdk import Api, call, call_async, described, needs, opened, opened_async

USAGE = Usage(input=100, output=50, cached=40, reasoning=20, tool_use=10, input_modalities={"text": 70, "audio": 20})
REPLY = Reply("A hot gas.", thinking="Hm.", usage=USAGE, chunks=2)
MODEL = {"model": "gemini-2.5-flash"}
ASKED = MODEL | {"contents": "What is a flame?"}
PICTURE = types.Image(image_bytes=b"\x89PNG flame", mime_type="image/png")
FULL: dict[str, Any] = {
    "temperature": 0.2, "top_p": 0.9, "topK": 5, "maxOutputTokens": 64, "stop_sequences": ["END"], "seed": 7,
    "presence_penalty": 0.5, "frequency_penalty": 0.25, "candidate_count": 2, "system_instruction": "Be brief.",
    "response_mime_type": "application/json", "thinking_config": {"thinking_budget": 128}, "response_logprobs": True,
    "cached_content": "cachedContents/wax",
    "tools": [{"function_declarations": [{"name": "burn", "description": "Burn it."}]}, {"google_search": {}}],
}  # fmt: skip
INTERACTION: dict[str, Any] = MODEL | {
    "input": "What is a flame?",
    "system_instruction": "Be brief.",
    "generation_config": {"temperature": 0.2, "max_output_tokens": 64, "thinking_level": "low"},
    "tools": [{"type": "function", "name": "burn", "description": "Burn it.", "parameters": {"type": "object"}}],
    "previous_interaction_id": "interaction-0",
}
TOOLED = [
    {"type": "google_search_call", "id": "s1", "arguments": {"queries": ["flames"]}},
    {"type": "google_search_result", "call_id": "s1", "result": []},
]
BOTH: tuple[Api, ...] = ("gemini", "vertex")


@dataclass(frozen=True)
class Case:
    """A method, what it is called with, and on which APIs; ``spans/google`` holds the span that must come of it."""

    path: str
    kwargs: dict[str, Any]
    note: str = ""
    apis: tuple[Api, ...] = BOTH
    reply: Reply = field(default_factory=lambda: REPLY)
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The method, and what is special about the case."""
        return f"{self.path} {self.note}".strip()


def _source(kind: str, **fields: Any) -> Any:
    return getattr(types, kind)(**fields) if hasattr(types, kind) else None


VERTEX: tuple[Api, ...] = ("vertex",)
GEMINI: tuple[Api, ...] = ("gemini",)
VECTORS = Reply(usage=Usage(input=7), embeddings=[[0.5] * 8] * 2)
CASES = [
    Case("models.generate_content", ASKED | {"config": FULL}, "all", GEMINI),
    Case("models.generate_content", ASKED, "tools", reply=Reply(
        tool_calls=[ToolCall("burn", {"what": "wax"}, "call_1")], usage=USAGE)),
    Case("models.generate_content", ASKED, "blocked", reply=Reply(finish="prompt_blocked", usage=Usage(100))),
    Case("models.generate_content", ASKED, "cut off", reply=Reply("No", finish="blocked", usage=Usage(100, 1))),
    Case("models.generate_content", ASKED, "grounded", reply=Reply("Hot.", usage=USAGE, extra={
        "candidate": {"groundingMetadata": {"webSearchQueries": ["flame", "wax"]}}})),
    Case("models.generate_content", ASKED, "code", reply=Reply("2", usage=USAGE, items=[
        {"executableCode": {"language": "PYTHON", "code": "1+1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}}])),
    Case("models.generate_content_stream", ASKED),
    Case("models.generate_content_stream", ASKED, "tools", reply=Reply(
        "So:", tool_calls=[ToolCall("burn", {"what": "wax"}, "call_1")], usage=USAGE)),
    Case("models.generate_content_stream", ASKED, "blocked", reply=Reply(finish="prompt_blocked", usage=Usage(100))),
    Case("chat.send_message", {"message": "What is a flame?"}),
    Case("chat.send_message_stream", {"message": "What is a flame?"}),
    Case("models.embed_content", {"model": "gemini-embedding-001", "contents": ["flame", "candle"],
         "config": {"output_dimensionality": 8}}, reply=VECTORS, apis=GEMINI,
         needs=("EmbedContentResponse.usage_metadata",)),
    Case("models.embed_content", {"model": "text-embedding-005", "contents": ["flame", "candle"]}, reply=VECTORS,
         apis=VERTEX),
    Case("models.count_tokens", ASKED),
    Case("models.compute_tokens", ASKED, apis=VERTEX),
    Case("models.generate_images", {"model": "imagen-4.0-generate-001", "prompt": "A flame",
         "config": {"number_of_images": 2, "aspect_ratio": "16:9"}}, apis=VERTEX),
    Case("models.generate_images", {"model": "imagen-4.0-generate-001", "prompt": "A flame"}, "filtered",
         VERTEX, reply=Reply(finish="blocked", block_reason="It is too hot.")),
    Case("models.edit_image", {"model": "imagen-3.0-capability-001", "prompt": "Bluer",
         "reference_images": [types.RawReferenceImage(reference_id=1, reference_image=PICTURE)]}, apis=VERTEX),
    Case("models.upscale_image", {"model": "imagen-4.0-upscale-preview", "image": PICTURE, "upscale_factor": "x2"},
         apis=VERTEX),
    Case("models.recontext_image", {"model": "virtual-try-on-preview-08-04",
         "source": _source("RecontextImageSource", prompt="On fire", person_image=PICTURE)}, apis=VERTEX),
    Case("models.segment_image", {"model": "image-segmentation-001",
         "source": _source("SegmentImageSource", prompt="The flame", image=PICTURE)}, apis=VERTEX),
    Case("models.generate_videos", {"model": "veo-3.0-generate-001",
         "source": _source("GenerateVideosSource", prompt="A flame", image=PICTURE),
         "config": {"duration_seconds": 8}}, apis=VERTEX, needs=("GenerateVideosSource.prompt",)),
    Case("caches.create", MODEL | {"config": {"contents": ["A long text"], "system_instruction": "Be brief.",
         "ttl": "60s"}}, reply=Reply(usage=Usage(4096))),
    Case("batches.create", MODEL | {"src": [{"contents": [{"parts": [{"text": "Flame?"}], "role": "user"}]}] * 2},
         apis=GEMINI),
    Case("batches.create", MODEL | {"src": "gs://bucket/questions.jsonl"}, apis=VERTEX),
    Case("batches.create_embeddings", {"model": "gemini-embedding-001",
         "src": {"inlined_requests": {"contents": ["flame"]}}}, apis=GEMINI),
    Case("batches.cancel", {"name": "batches/1"}, apis=GEMINI),
    Case("batches.cancel", {"name": "1"}, apis=VERTEX),
    Case("tunings.tune", {"base_model": "gemini-2.5-flash", "training_dataset": types.TuningDataset(
         gcs_uri="gs://bucket/train.jsonl"), "config": {"epoch_count": 3}}, apis=VERTEX),
    Case("tunings.cancel", {"name": "tuningJobs/1"}, apis=VERTEX),
    Case("file_search_stores.import_file", {"file_search_store_name": "fileSearchStores/1", "file_name": "files/1"},
         apis=GEMINI),
    Case("interactions.create", INTERACTION),
    Case("interactions.create", INTERACTION | {"stream": True}, "stream"),
    Case("interactions.create", INTERACTION | {"stream": True}, "stream tools", GEMINI, reply=Reply(
        tool_calls=[ToolCall("burn", {"what": "wax"}, "call_1")], usage=USAGE, chunks=1)),
    Case("interactions.create", INTERACTION, "served tools", GEMINI, reply=Reply(
        "Hot.", usage=USAGE, items=TOOLED, extra={"service_tier": "flex"})),
    Case("interactions.create", {"agent": "deep-research-pro", "input": "Flames", "background": True}, "agent", GEMINI),
    Case("interactions.cancel", {"id": "interaction-1"}, apis=GEMINI),
    Case("decisions.create", MODEL | {"input": "A flame", "questions": {"hot": {
         "type": "choice", "instructions": "Is it hot?", "criteria": {"yes": "It is.", "no": "It is not."}}}},
         apis=GEMINI),
    Case("agents.create", {"id": "smith", "base_agent": "antigravity-preview", "system_instruction": "Be brief."},
         apis=GEMINI),
    Case("voices.create", {"voice": {"type": "prompted", "model": "gemini-3.1-flash-tts-preview"}}, apis=GEMINI),
    Case("triggers.run", {"trigger_id": "trigger-1"}, apis=GEMINI),
]  # fmt: skip

PARAMS = [
    pytest.param(
        case, api, id=f"{case.name}-{api}",
        marks=needs(*([] if case.path.startswith("chat.") else [case.path]), *case.needs),
    )
    for case in CASES
    for api in case.apis
]  # fmt: skip


@pytest.fixture(autouse=True)
def _deprecated() -> Any:
    """Some of these methods are on their way out, or in, and say so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"otel_llm\.flow", category=Warning)
        warnings.filterwarnings("ignore", message=".*deprecated.*")
        warnings.filterwarnings("ignore", message=".*experimental.*")
        warnings.filterwarnings("ignore", message=".*not supported in `.interactions`.*")
        warnings.filterwarnings("ignore", message="Async interactions client cannot use aiohttp.*")
        yield


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(("case", "api"), PARAMS)
def test_the_whole_span(case: Case, api: Api, mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """A method gives the same span whether it is called sync or async."""
    provider.script(lambda request: case.reply)

    async def run_async() -> None:
        async with opened_async(provider, api) as client:
            await call_async(client, case.path, case.kwargs)

    if mode == "sync":
        with opened(provider, api) as client:
            call(client, case.path, case.kwargs)
    else:
        asyncio.run(run_async())
    path = f"spans/google/{case.name.replace(' ', '-')}-{api}.json"
    assert described(instrumented.one()) == external_file(path)


@needs("GenerateContentConfig.should_return_http_response")
def test_an_answer_as_the_json_that_came(instrumented: Spans, provider: ScriptedProvider) -> None:
    """A caller that wants the HTTP response gets that, and the call is read from it."""
    provider.script([REPLY])
    config = {"should_return_http_response": True}
    with opened(provider) as client:
        answer = client.models.generate_content(**ASKED, config=types.GenerateContentConfig(**config))
    assert "A hot gas." in answer.sdk_http_response.body
    attributes = instrumented.attributes()
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (100, 50)
    assert attributes["gen_ai.response.model"] == "gemini-2.5-flash"
    assert "A hot gas." in attributes["gen_ai.output.messages"]


def test_nothing_is_missing_from_the_installed_sdk(spans: Spans) -> None:
    """No method that every supported SDK has is missing, whatever else newer and older ones have."""
    report = otel_llm.instrument(tracer_provider=spans.provider, providers="google_genai")
    assert report.missing == []
    assert "google.genai.models:AsyncModels.generate_content_stream" in report.patched
