"""The conventions' completion hook: the real one that uploads, hooks of an application's own, and hooks that fail."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.util.genai import types
from opentelemetry.util.genai._upload.completion_hook import UploadCompletionHook

import otel_llm
from otel_llm import attributes as a
from otel_llm import config
from otel_llm.completion import Completion
from otel_llm.errors import ConfigError
from otel_llm.events import DETAILS
from otel_llm.messages import blob_part
from otel_llm.testing import Reply, ScriptedProvider, ToolCall
from tests.conftest import Spans
from tests.otel_llm.test_events import CHAT, CONTENT, Logs

REFERENCES = {
    "inputs": a.INPUT_MESSAGES_REF.name,
    "outputs": a.OUTPUT_MESSAGES_REF.name,
    "system_instruction": a.SYSTEM_INSTRUCTIONS_REF.name,
    "tool.definitions": a.TOOL_DEFINITIONS_REF.name,
}
HOOK, FOLDER = "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK", "OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH"
PNG = b"\x89PNG\r\n\x1a\n\xff"


class Hook:
    """Keeps what it is called with, and leaves a reference."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def on_completion(self, **given: Any) -> None:
        """Called at the end of a call."""
        self.calls.append(given)
        given["span"].set_attribute("app.stored_at", "there")


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A hook of the application's own."""
    yield Hook()
    otel_llm.uninstrument()


@pytest.fixture
def upload(tmp_path: Path) -> Iterator[UploadCompletionHook]:
    """The hook of opentelemetry-util-genai, into a folder; a test shuts it down, so that all is stored."""
    yield UploadCompletionHook(base_path=tmp_path.as_uri())
    otel_llm.uninstrument()


class TestUpload:
    """The real hook stores content, and the span says where."""

    @pytest.mark.parametrize("mode", ["NO_CONTENT", "SPAN_AND_EVENT"])
    def test_content_is_stored_and_referred_to(
        self,
        mode: Any,
        spans: Spans,
        upload: UploadCompletionHook,
        tmp_path: Path,
        openai_client: Any,
        provider: ScriptedProvider,
    ) -> None:
        """Content itself is on the span and the event only if the mode says so; the references always are."""
        logs = Logs()
        otel_llm.instrument(
            tracer_provider=spans.provider,
            logger_provider=logs.provider,
            capture_content=mode,
            completion_hook=upload,
        )
        provider.script([Reply("there")])
        openai_client.chat.completions.create(**CHAT)
        upload.shutdown()
        attributes = spans.attributes()
        stored = {name: attributes[reference] for name, reference in REFERENCES.items()}
        assert len(list(tmp_path.iterdir())) == 4
        read = {name: json.loads(Path(str(uri).removeprefix("file://")).read_text()) for name, uri in stored.items()}
        assert read["inputs"] == [{"role": "user", "parts": [{"content": "hi", "type": "text"}], "name": None}]
        assert read["outputs"][0]["parts"] == [{"content": "there", "type": "text"}]
        assert read["outputs"][0]["finish_reason"] == "stop"
        assert read["system_instruction"] == [{"content": "Be brief.", "type": "text"}]
        assert read["tool.definitions"][0]["name"] == "find"
        if mode == "NO_CONTENT":
            assert not CONTENT & set(attributes)
            assert logs.all() == []
        else:
            assert set(attributes) >= CONTENT
            record = logs.one(DETAILS)
            assert {record.attributes[reference] for reference in REFERENCES.values()} == set(stored.values())

    def test_by_the_variable(
        self,
        spans: Spans,
        tmp_path: Path,
        gemini_client: Any,
        provider: ScriptedProvider,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Its name, and where it stores; Gemini, streamed."""
        monkeypatch.setenv(HOOK, "upload")
        monkeypatch.setenv(FOLDER, tmp_path.as_uri())
        report = otel_llm.instrument(tracer_provider=spans.provider)
        assert report is not None
        provider.script([Reply("one two", chunks=2)])
        list(gemini_client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi"))
        reference = str(spans.attributes()[a.OUTPUT_MESSAGES_REF.name])
        deadline = threading.Event()
        for _ in range(500):
            if (path := Path(reference.removeprefix("file://"))).exists() and path.read_text().endswith("\n"):
                break
            deadline.wait(0.02)
        assert json.loads(path.read_text())[0]["parts"][0]["content"] == "one two"

    def test_a_large_text_is_stored_whole(
        self,
        spans: Spans,
        upload: UploadCompletionHook,
        openai_client: Any,
        provider: ScriptedProvider,
    ) -> None:
        """Budgets are for telemetry; what is stored elsewhere is not cut."""
        otel_llm.instrument(tracer_provider=spans.provider, capture_content=True, completion_hook=upload)
        provider.script([Reply("x" * 300_000)])
        openai_client.chat.completions.create(**CHAT)
        upload.shutdown()
        attributes = spans.attributes()
        stored = Path(str(attributes[a.OUTPUT_MESSAGES_REF.name]).removeprefix("file://"))
        assert len(json.loads(stored.read_text())[0]["parts"][0]["content"]) == 300_000
        assert len(str(attributes[a.OUTPUT_MESSAGES.name])) <= 65_536 + 100


class TestConfiguration:
    """A hook that cannot be used is said by instrument()."""

    def test_a_name_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(HOOK, "upsidedown")
        with pytest.raises(ConfigError, match="upsidedown is not installed: there is upload"):
            otel_llm.instrument()

    def test_a_hook_without_its_folder(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv(HOOK, "upload")
        monkeypatch.setenv(FOLDER, (tmp_path / "file").as_uri())
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigError, match="upload cannot be used"):
            otel_llm.instrument()

    def test_what_is_no_hook(self) -> None:
        with pytest.raises(ConfigError, match="needs a method on_completion"):
            otel_llm.instrument(completion_hook=print)

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "opentelemetry.util.genai.types", None)
        with pytest.raises(ConfigError, match=r"pip install 'otel-llm\[upload\]'"):
            otel_llm.instrument(completion_hook=Hook())


class TestHooks:
    """What an application's own hook is called with, and what it may do."""

    def test_what_it_is_given(self, spans: Spans, hook: Hook, openai_client: Any, provider: ScriptedProvider) -> None:
        """Objects of the conventions' classes: one for each kind of part."""
        otel_llm.instrument(tracer_provider=spans.provider, capture_content=False, completion_hook=hook)
        provider.script([Reply("there", tool_calls=[ToolCall("find", {"what": "it"}, "c2")])])
        picture = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
        openai_client.chat.completions.create(
            model="m",
            messages=[
                {"role": "system", "content": "Be brief."},
                {
                    "role": "user",
                    "name": "ada",
                    "content": [
                        {"type": "text", "text": "look"},
                        {"type": "image_url", "image_url": {"url": picture}},
                        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                        {"type": "file", "file": {"file_id": "f1"}},
                        {"type": "novelty"},
                    ],
                },
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "found"},
            ],
            tools=[*CHAT["tools"], {"type": "web_search"}],
        )
        (given,) = hook.calls
        assert set(given) == {"inputs", "outputs", "system_instruction", "tool_definitions", "span", "log_record"}
        user, assistant, tool = given["inputs"]
        assert (user.role, user.name) == ("user", "ada")
        assert user.parts[:4] == [
            types.TextPart("look"),
            types.BlobPart("image/png", "image", PNG),
            types.UriPart(None, "image", "https://example.org/a.png"),
            types.FilePart(None, "document", "f1"),
        ]
        assert isinstance(user.parts[4], types.GenericPart)
        assert assistant.parts == [types.ToolCallRequestPart(arguments={"a": 1}, name="find", id="c1")]
        assert tool.parts == [types.ToolCallResponsePart(response="found", id="c1")]
        assert given["system_instruction"] == [types.TextPart("Be brief.")]
        first, second = given["tool_definitions"]
        assert first == types.FunctionToolDefinition("find", "Finds.", {"type": "object", "properties": {}})
        assert second == types.GenericToolDefinition("web_search", "web_search")
        (answer,) = given["outputs"]
        assert isinstance(answer, types.OutputMessage)
        assert answer.finish_reason == "tool_call"
        assert answer.parts[-1] == types.ToolCallRequestPart(arguments={"what": "it"}, name="find", id="c2")
        assert spans.attributes()["app.stored_at"] == "there"

    def test_what_is_sent_is_kept_as_it_was_sent(
        self, spans: Spans, hook: Hook, openai_client: Any, provider: ScriptedProvider
    ) -> None:
        """The caller's own lists may change while the answer comes."""
        otel_llm.instrument(tracer_provider=spans.provider, completion_hook=hook)
        provider.script([Reply("a b", chunks=2)])
        messages = [{"role": "user", "content": "before"}]
        stream = openai_client.chat.completions.create(model="m", messages=messages, stream=True)
        messages[0]["content"] = "after"
        list(stream)
        assert hook.calls[0]["inputs"][0].parts == [types.TextPart("before")]

    def test_async_and_failed_and_left_calls(self, spans: Spans, hook: Hook, provider: ScriptedProvider) -> None:
        """Each once; what came of it, where anything did."""

        async def main() -> None:
            import openai

            provider.script([Reply("one"), Reply(status=400, error="no"), Reply("a b c", chunks=3)])
            async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url, max_retries=0) as client:
                await client.chat.completions.create(**CHAT)
                with pytest.raises(openai.BadRequestError):
                    await client.chat.completions.create(**CHAT)
                async with await client.chat.completions.create(**CHAT, stream=True) as stream:
                    async for chunk in stream:
                        if chunk.choices and chunk.choices[0].delta.content:
                            break

        otel_llm.instrument(tracer_provider=spans.provider, completion_hook=hook)
        asyncio.run(main())
        assert [len(given["outputs"]) for given in hook.calls] == [1, 0, 1]
        assert all(given["inputs"] for given in hook.calls)

    def test_calls_that_are_not_sampled(self, hook: Hook, openai_client: Any) -> None:
        """Content elsewhere does not depend on spans."""
        otel_llm.instrument(tracer_provider=TracerProvider(sampler=ALWAYS_OFF), completion_hook=hook)
        openai_client.chat.completions.create(**CHAT)
        assert len(hook.calls) == 1
        assert hook.calls[0]["outputs"]
        assert not hook.calls[0]["span"].is_recording()

    def test_what_is_no_completion_is_not_given(self, spans: Spans, hook: Hook, openai_client: Any) -> None:
        otel_llm.instrument(tracer_provider=spans.provider, completion_hook=hook)
        openai_client.embeddings.create(model="m", input="hi")
        assert hook.calls == []

    def test_a_hook_that_raises(
        self, spans: Spans, openai_client: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is said once, without what it says, and the call and its span are as without it."""

        class Raising:
            def on_completion(self, **given: Any) -> None:
                raise OSError(str(given))

        monkeypatch.setattr(config, "_said", set())
        otel_llm.instrument(tracer_provider=spans.provider, completion_hook=Raising())
        with caplog.at_level(logging.WARNING, logger="otel_llm"):
            for _ in range(2):
                assert openai_client.chat.completions.create(**CHAT).choices
        assert [record.getMessage() for record in caplog.records] == [
            "otel_llm failed in Raising.on_completion; the application is not affected. Said once."
        ]
        assert "Be brief" not in caplog.text
        assert [span.name for span in spans.all()] == ["chat gpt-5-mini"] * 2

    def test_a_hook_that_is_slow_is_no_part_of_the_call(self, spans: Spans, openai_client: Any) -> None:
        """The span ended before it began, though it can still be written on."""
        began: list[int] = []

        class Slow:
            def on_completion(self, *, span: Any, **_: Any) -> None:
                began.append(time.time_ns())
                threading.Event().wait(0.05)
                span.set_attribute("app.late", True)

        otel_llm.instrument(tracer_provider=spans.provider, completion_hook=Slow())
        openai_client.chat.completions.create(**CHAT)
        assert (spans.one().end_time or 0) <= began[0]
        assert spans.attributes()["app.late"] is True

    def test_an_older_hook_that_stores_on_the_record_only(self, spans: Spans, openai_client: Any) -> None:
        """The record is there before it is sent."""

        class OnRecord:
            def on_completion(self, *, log_record: Any, **_: Any) -> None:
                log_record.attributes = {**log_record.attributes, "app.where": "there"}

        logs = Logs()
        otel_llm.instrument(
            tracer_provider=spans.provider,
            logger_provider=logs.provider,
            capture_content="EVENT_ONLY",
            completion_hook=OnRecord(),
        )
        openai_client.chat.completions.create(**CHAT)
        assert logs.one(DETAILS).attributes["app.where"] == "there"


class TestRedaction:
    """What is stored elsewhere is redacted too, but not cut."""

    def test_every_text(self, spans: Spans, hook: Hook, openai_client: Any, provider: ScriptedProvider) -> None:
        otel_llm.instrument(
            tracer_provider=spans.provider, completion_hook=hook, redact=lambda text: text.replace("ada", "***")
        )
        provider.script([Reply("dear ada", tool_calls=[ToolCall("find", {"ada": "ada"})])])
        openai_client.chat.completions.create(
            model="m",
            messages=[{"role": "system", "content": "ada"}, {"role": "user", "name": "ada", "content": "I am ada"}],
            tools=[{"type": "function", "function": {"name": "find", "description": "ada", "parameters": {"ada": 1}}}],
        )
        (given,) = hook.calls
        said = [given[name] for name in ("inputs", "outputs", "system_instruction", "tool_definitions")]
        assert "ada" not in json.dumps([[dataclasses.asdict(item) for item in items] for items in said])
        assert given["inputs"][0].name == "***"

    def test_bytes_that_are_a_text(self) -> None:
        """A text file is redacted, a picture cannot be."""
        completion = Completion(Hook(), lambda text: text.replace("ada", "***"))
        text, picture = completion.parts([blob_part(b"I am ada", "text/plain"), blob_part(PNG + b"ada", "image/png")])
        assert (text.content, picture.content) == (b"I am ***", PNG + b"ada")
