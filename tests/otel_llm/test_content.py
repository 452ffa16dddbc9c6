"""What is kept of content: its budgets, to the byte, and what a redaction sees of it."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

import otel_llm
from otel_llm import attributes as a
from otel_llm import config
from otel_llm.content import DEFINITIONS, LEAST_PART, LEAST_SPAN, MESSAGES, MOST_VALUES, PARTS, Content, Kept
from otel_llm.cut import cut_string, cut_text, dumps, share, size
from otel_llm.messages import Message, blob_part, messages_json, text_part, tool_call_part, tool_response_part, uri_part
from otel_llm.plain import CIRCLE, TOO_DEEP
from otel_llm.providers import PROVIDERS
from otel_llm.redaction import WITHHELD
from otel_llm.testing import Reply, ScriptedProvider
from tests.conftest import Spans

INPUT, OUTPUT = a.INPUT_MESSAGES.name, a.OUTPUT_MESSAGES.name
TOOLS, SYSTEM = a.TOOL_DEFINITIONS.name, a.SYSTEM_INSTRUCTIONS.name
TRUNCATED = a.CONTENT_TRUNCATED.name

LETTERS = ["a", '"', "\\", "\n", "\x00", "é", "漢", "😀", "\ud800", " ", "u", "0"]


class Tree:
    """Random content, from a seed: texts of all alphabets and lengths, nested arguments, many parts and messages."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self, *lengths: int) -> str:
        length = self.random.choice(lengths or (0, 1, 9, 90, 900))
        some = "".join(self.random.choices(LETTERS, k=min(length, 40)))
        return (some * (length // 40 + 1))[:length]

    def value(self, levels: int = 2) -> Any:
        kind = self.random.random()
        if levels == 0 or kind < 0.4:
            return self.text()
        if kind < 0.5:
            return self.random.choice([1, 2.5, None, True, 10**30, float("nan"), b"\x00\xff", (1, 2), {3}])
        count = self.random.choice([0, 1, 3, 9])
        if kind < 0.75:
            return [self.value(levels - 1) for _ in range(count)]
        return {self.text(1, 10, 100): self.value(levels - 1) for _ in range(count)}

    def part(self) -> dict[str, Any]:
        return self.random.choice(
            [
                lambda: text_part(self.text()),
                lambda: text_part(self.text(50_000)),
                lambda: tool_call_part(self.text(5, 300), self.value(), self.text(0, 20)),
                lambda: tool_response_part(self.value(), self.text(0, 20)),
                lambda: blob_part(self.random.randbytes(self.random.choice([0, 10, 10_000])), "image/png"),
                lambda: {"type": self.text(3, 3000), self.text(5): self.value()},
            ]
        )()

    def message(self) -> Message:
        parts = [self.part() for _ in range(self.random.choice([0, 1, 1, 2, 20]))]
        found: Message = {"role": self.random.choice(["user", "assistant", self.text(300)]), "parts": parts}
        if self.random.random() < 0.3:
            found["name"] = self.text(10, 300)
        if self.random.random() < 0.3:
            found["finish_reason"] = self.text(5, 300)
        return found

    def messages(self) -> list[Message]:
        return [self.message() for _ in range(self.random.choice([1, 2, 5, 30]))]

    def tools(self) -> list[dict[str, Any]]:
        count = self.random.choice([0, 1, 40])
        return [{"type": "function", "name": self.text(9), "parameters": self.value()} for _ in range(count)]


def kept(rules: Content, sent: list[Message], came: list[Message] | None = None, **values: Any) -> Kept:
    """What is kept of a call."""
    kept = Kept(rules)
    kept.keep(INPUT, sent, MESSAGES)
    for name, value in values.items():
        kept.value(name, value)
    kept.answered()
    kept.keep(OUTPUT, came or [], MESSAGES)
    kept.done()
    return kept


def user(*texts: str) -> list[Message]:
    return [{"role": "user", "parts": [text_part(text)]} for text in texts]


def saved(kept: Kept, name: str = INPUT) -> Any:
    return json.loads(kept.values[name])


class TestBudgets:
    """A part and a call are never larger than was said, in bytes; what is smaller is untouched."""

    @pytest.mark.parametrize("seed", range(60))
    def test_any_content_is_valid_and_within(self, seed: int) -> None:
        """Every value is JSON in the schema, every part within its bytes, all of them together within theirs."""
        tree = Tree(seed)
        rules = Content(
            part_bytes=tree.random.choice([1024, 4096, 1 << 16]),
            span_bytes=tree.random.choice([4096, 20_000, 1 << 18]),
            redact=tree.random.choice([None, lambda text: text, lambda text: text * 2]),
        )
        said = {f"{a.REQUEST_PARAM.name}{number}": tree.value() for number in range(tree.random.choice([0, 0, 2, 60]))}
        found = Kept(rules)
        for name, value in said.items():
            found.value(name, value)
        sent, came, tools, system = tree.messages(), tree.messages(), tree.tools(), [tree.part() for _ in range(3)]
        found.keep(SYSTEM, system, PARTS)
        found.keep(INPUT, sent, MESSAGES)
        found.keep(TOOLS, tools, DEFINITIONS)
        found.answered()
        found.keep(OUTPUT, came, MESSAGES)
        found.done()
        assert sum(size(text) for text in found.values.values()) <= rules.span_bytes
        assert sum(size(text) for name, text in found.values.items() if name != OUTPUT) <= rules.span_bytes * 3 // 4
        assert len(found.values) <= MOST_VALUES
        "".join(found.values.values()).encode()  # no lone surrogate is left
        for name, value in found.structured().items():
            if name in (INPUT, OUTPUT):
                for message in value:
                    assert isinstance(message["role"], str)
                    assert all(isinstance(part["type"], str) for part in message["parts"])
                    assert all(size(dumps(part)) <= rules.part_bytes for part in message["parts"])
            elif name in (SYSTEM, TOOLS):
                assert all(isinstance(part["type"], str) for part in value)
                assert all(size(dumps(part)) <= rules.part_bytes for part in value)
            else:
                assert size(found.values[name]) <= rules.part_bytes
        whole = size(messages_json(sent)) + size(messages_json(came)) + size(dumps(found.structured()))
        if rules.redact is None and whole < 4096 and len(said) < 40:
            assert not found.truncated
            assert found.values[INPUT] == messages_json(sent).encode("utf-8", "replace").decode()

    def test_small_content_is_untouched(self) -> None:
        sent = user("hi", "漢字", '"quoted"\n')
        found = kept(Content(), sent, user("there"))
        assert found.values == {INPUT: messages_json(sent), OUTPUT: messages_json(user("there"))}
        assert not found.truncated

    def test_a_long_text_is_cut_to_the_byte(self) -> None:
        """The mark says how many bytes are gone."""
        found = kept(Content(part_bytes=2000), user("é" * 50_000))
        (message,) = saved(found)
        said = message["parts"][0]["content"]
        assert 1996 <= size(dumps(message["parts"][0])) <= 2000
        beginning, _, mark = said.partition("…")
        assert set(beginning) == {"é"}
        assert mark == f"[truncated {100_000 - size(beginning)} bytes]"
        assert found.truncated

    def test_of_many_messages_the_first_and_the_last_stay(self) -> None:
        found = kept(Content(span_bytes=8000), user(*(f"message {number}" for number in range(5000))))
        first, note, *last = saved(found)
        assert first == user("message 0")[0]
        assert last == user(*(f"message {number}" for number in range(5000 - len(last), 5000)))
        assert note == {
            "role": "system",
            "parts": [{"type": "text", "content": f"…[truncated {4999 - len(last)} messages]"}],
        }
        assert len(last) > 60

    def test_large_messages_share_alike_and_small_ones_stay_whole(self) -> None:
        found = kept(Content(span_bytes=8000), user("x" * 50_000, "short", "y" * 9000))
        first, short, last = saved(found)
        assert short == user("short")[0]
        assert abs(size(dumps(first)) - size(dumps(last))) <= 2
        assert 5900 < size(found.values[INPUT]) <= 6000

    def test_a_message_of_many_parts(self) -> None:
        sent: list[Message] = [{"role": "user", "parts": [text_part(f"part {number}") for number in range(5000)]}]
        (message,) = saved(kept(Content(span_bytes=4096), sent))
        assert message["parts"][0] == text_part("part 0")
        assert "parts]" in message["parts"][1]["content"]
        assert message["parts"][-1] == text_part("part 4999")

    def test_huge_arguments_stay_an_object(self) -> None:
        """A field that is small is whole beside one that is cut."""
        sent: list[Message] = [
            {"role": "assistant", "parts": [tool_call_part("write", {"path": "a.txt", "text": "x" * 90_000}, "c1")]}
        ]
        (message,) = saved(kept(Content(part_bytes=1024), sent))
        (part,) = message["parts"]
        assert (part["type"], part["name"], part["id"]) == ("tool_call", "write", "c1")
        assert part["arguments"]["path"] == "a.txt"
        assert part["arguments"]["text"].endswith("bytes]")
        assert 1000 < size(dumps(part)) <= 1024

    def test_tool_definitions_stay_a_list(self) -> None:
        """However large a schema is, the tool is there by name."""
        tools = [{"type": "function", "name": f"t{n}", "parameters": {"properties": "x" * 90_000}} for n in range(3)]
        found = Kept(Content(part_bytes=2000))
        found.keep(TOOLS, tools, DEFINITIONS)
        found.answered()
        assert [tool["name"] for tool in saved(found, TOOLS)] == ["t0", "t1", "t2"]
        assert found.truncated

    def test_a_quarter_is_left_for_the_answer(self) -> None:
        found = kept(Content(span_bytes=40_000), user("x" * 100_000), user("y" * 100_000))
        assert 29_000 < size(found.values[INPUT]) <= 30_000
        assert 9000 < size(found.values[OUTPUT]) <= 10_000

    def test_what_the_question_leaves_is_the_answers_too(self) -> None:
        found = kept(Content(span_bytes=40_000), user("x"), user("y" * 100_000))
        assert size(found.values[OUTPUT]) > 39_000

    @pytest.mark.parametrize("value", ["x", {"x": "y"}])
    def test_more_values_than_a_span_takes_are_left_out_but_messages_are_not(self, value: Any) -> None:
        """Texts go first, then other values, the last of them first; in no more time than it takes to sort them."""
        found = Kept(Content(redact=lambda text: text))
        for number in range(50_000):
            found.value(f"v{number}", value)
        found.keep(INPUT, user("hi"), MESSAGES)
        found.answered()
        assert set(found.values) == {INPUT, *(f"v{number}" for number in range(MOST_VALUES - 1))}
        assert found.truncated

    def test_many_values_in_a_small_budget(self) -> None:
        """Texts are left out rather than cut to nothing; the messages stay."""
        found = kept(Content(span_bytes=4096), user("hi"), **{f"v{number}": "x" * 900 for number in range(40)})
        assert found.values[INPUT] == messages_json(user("hi"))
        assert 3 <= len(found.values) <= 8
        assert all(len(text) >= 500 for name, text in found.values.items() if name[0] == "v")

    def test_a_budget_has_a_least(self) -> None:
        rules = Content(part_bytes=1, span_bytes=1)
        assert (rules.part_bytes, rules.span_bytes) == (LEAST_PART, LEAST_SPAN)

    def test_binary_parts_are_a_digest(self) -> None:
        """However large the picture is."""
        sent: list[Message] = [{"role": "user", "parts": [blob_part(b"\x89" * 5_000_000, "image/png")]}]
        (message,) = saved(kept(Content(part_bytes=1024), sent))
        assert message["parts"][0].keys() == {"type", "modality", "mime_type", "sha256", "size"}
        assert message["parts"][0]["size"] == 5_000_000

    @pytest.mark.parametrize("letters", ["x", "漢", '"', "\\", "\x01", "\ud800", 'a"é\\'])
    def test_cutting_is_exact_at_every_length(self, letters: str) -> None:
        """A cut never splits a character or an escape, and never takes more than it may."""
        text = letters * 200
        for most in range(64, 200):
            cut = cut_string(text, most)
            assert most - 12 < size(dumps(cut)) <= most
            plain = cut_text(text, most)
            assert most - 6 < size(plain) <= most
            for found in (cut, plain):
                kept, _, mark = found.rpartition("…[truncated ")
                assert text.encode("utf-8", "replace").decode().startswith(kept.encode("utf-8", "replace").decode())
                assert size(kept) + int(mark.removesuffix(" bytes]")) == size(text)

    def test_shares(self) -> None:
        assert share([], 10) == 0
        assert share([1, 2, 3], 10) == 3
        assert share([1, 50, 60], 21) == 10
        assert share([50, 60], -5) == 0


class TestOddValues:
    """Whatever an application hands over, JSON comes of it."""

    def test_depths_circles_and_numbers(self) -> None:
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        circle: dict[str, Any] = {"one": 1}
        circle["self"] = circle
        found = kept(Content(), [], deep=deep, circle=circle, numbers=[float("nan"), 10**5000], keys={(1, 2): "x"})
        assert TOO_DEEP in found.values["deep"]
        assert saved(found, "circle") == {"one": 1, "self": CIRCLE}
        assert saved(found, "numbers")[0] == "nan"
        assert saved(found, "keys") == {"(1, 2)": "x"}

    @pytest.mark.parametrize("redact", [None, str.upper])
    def test_what_json_can_nest_is_cut_and_redacted(self, redact: Callable[[str], str] | None) -> None:
        """Nine hundred levels pass the encoder; no walk of ours may run out of stack on them."""
        deep: Any = "secret" * 500
        for _ in range(300):
            deep = {"a": [deep]}
        found = kept(Content(part_bytes=1024, redact=redact), [], deep=deep)
        json.loads(found.values["deep"])
        assert "secret" not in found.values["deep"] or redact is None

    def test_objects_that_fail(self) -> None:
        class Hostile:
            def __getattr__(self, name: str) -> Any:
                raise RuntimeError(name)

            def __str__(self) -> str:
                raise RuntimeError("no text")

        found = kept(Content(), [], odd={"good": 1, "bad": Hostile()})
        assert saved(found, "odd") == {"good": 1, "bad": "…[Hostile: RuntimeError]"}

    def test_a_message_that_cannot_be_written_costs_only_itself(self) -> None:
        found = Kept(Content())
        found.keep(INPUT, [{"role": "user", "parts": [{"kind": "no type"}]}], MESSAGES)
        found.value("other", {"a": 1})
        found.answered()
        assert found.values == {"other": '{"a":1}'}

    @pytest.mark.parametrize("shape", ["messages", "parts", "text", "fields", "nested"])
    def test_the_work_is_linear(self, shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Characters written are counted, not seconds: four times as much content takes four times the work."""
        written = 0

        def counted(value: Any) -> str:
            nonlocal written
            text = dumps(value)
            written += len(text)
            return text

        monkeypatch.setattr("otel_llm.cut.dumps", counted)
        work = []
        for many in (3000, 12_000):
            written = 0
            nested: Any = "x" * many
            for _ in range(40):
                nested = [nested, nested] if size(dumps(nested)) < many * 40 else [nested]
            value: Any = {
                "messages": user(*["x" * 90] * many),
                "parts": [{"role": "user", "parts": [text_part("x" * 90)] * many}],
                "text": user('"' * 90 * many),
                "fields": {f"field {number}": "x" * 90 for number in range(many)},
                "nested": nested,
            }[shape]
            kept(Content(part_bytes=1024), *((value,) if isinstance(value, list) else ([],)), v=value)
            work.append(written)
        assert 0 < work[1] < 4.5 * work[0]


class TestRedaction:
    """Every text passes the function before it is cut; what says what a thing is does not."""

    def test_every_text_of_messages(self) -> None:
        sent: list[Message] = [
            {"role": "user", "name": "ada", "parts": [text_part("ada"), uri_part("https://ada", "image")]},
            {"role": "assistant", "parts": [tool_call_part("find", {"who": "ada", "in": [{"ada": "ada"}]}, "id-ada")]},
            {"role": "tool", "parts": [tool_response_part({"found": "ada"}, "id-ada")]},
        ]  # fmt: skip
        found = kept(Content(redact=lambda text: text.replace("ada", "***")), sent)
        assert found.values[INPUT].replace("id-ada", "").count("ada") == 0
        first, second, third = saved(found)
        assert (first["role"], first["name"]) == ("user", "***")
        assert second["parts"] == [
            {"type": "tool_call", "name": "find", "arguments": {"who": "***", "in": [{"***": "***"}]}, "id": "id-ada"}
        ]
        assert third["parts"][0]["id"] == "id-ada"

    def test_definitions_are_redacted_but_for_type_and_name(self) -> None:
        found = Kept(Content(redact=lambda _: "***"))
        tool = {"type": "function", "name": "find", "description": "ada", "parameters": {"type": "object"}}
        found.keep(TOOLS, [tool], DEFINITIONS)
        found.answered()
        assert saved(found, TOOLS) == [
            {"type": "function", "name": "find", "description": "***", "parameters": {"***": "***"}}
        ]

    def test_digits_are_redacted_in_numbers(self) -> None:
        found = kept(Content(redact=lambda text: text.replace("4111111111111111", "card")), [], v=[4111111111111111, 7])
        assert saved(found, "v") == ["card", 7]

    def test_keys_that_become_the_same_are_kept_apart(self) -> None:
        found = kept(Content(redact=lambda text: "***" if text.isalpha() else text), [], v={"a": 1, "b": 2})
        assert saved(found, "v") == {"***": 1, "*** (1)": 2}

    def test_a_secret_is_redacted_before_it_can_be_cut_in_half(self) -> None:
        """The pattern sees the whole text, though the cut goes through the middle of what it matches."""
        secret = "sk-" + "7" * 40
        for length in range(880, 1000):
            found = kept(
                Content(part_bytes=1024, redact=lambda text: text.replace(secret, "[key]")),
                user("x" * length + secret + "y" * 5000),
            )
            assert "sk-" not in found.values[INPUT]

    @pytest.mark.parametrize(
        "redact",
        [lambda text: None, lambda text: 7, lambda text: text.encode(), lambda text: 1 / 0],
    )
    def test_a_redaction_that_fails_withholds_the_text(
        self, redact: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """None, no text, an exception: nothing of the text is kept, and that is said once."""
        monkeypatch.setattr(config, "_said", set())
        with caplog.at_level(logging.WARNING, logger="otel_llm"):
            found = kept(Content(redact=redact), user("ada"), user("ada"), v="ada")
        assert saved(found)[0]["parts"] == [text_part(WITHHELD)]
        assert found.values["v"] == WITHHELD
        assert len(caplog.records) == 1
        assert "ada" not in caplog.text

    def test_a_text_is_redacted_as_one_though_it_is_json(self) -> None:
        """A parameter that is a text stays that text."""
        seen: list[str] = []
        found = kept(Content(redact=lambda text: seen.append(text) or text), [], v='{"a":  1}')
        assert seen == ['{"a":  1}']
        assert found.values["v"] == '{"a":  1}'

    def test_what_another_call_kept_is_not_redacted_twice(self) -> None:
        """A call within a call: what the outer one says itself wins, all of it within one budget."""
        rules = Content(span_bytes=4096, redact=lambda text: text + "!")
        inner, outer = kept(rules, user("inner"), user("y" * 9000), v="inner"), Kept(rules)
        outer.value("v", "outer")
        outer.take(inner)
        outer.answered()
        outer.done()
        assert outer.values["v"] == "outer!"
        assert outer.values[INPUT] == inner.values[INPUT]
        assert sum(map(size, outer.values.values())) <= 4096
        assert outer.truncated


def ask(client: Any, **more: Any) -> None:
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], **more)


def test_a_cut_is_said_on_the_span(
    spans: Spans, openai_client: Any, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variables: the least that a part may be, a longer answer."""
    monkeypatch.setenv("OTEL_LLM_CONTENT_PART_BYTES", "1024")
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=True)
    provider.script([Reply("x" * 5000), Reply("short")])
    ask(openai_client)
    ask(openai_client)
    long, short = (span.attributes or {} for span in spans.all())
    assert long[TRUNCATED] is True
    assert len(json.dumps(json.loads(str(long[OUTPUT])), ensure_ascii=False)) < 1200
    assert TRUNCATED not in short


def test_the_text_of_an_error_is_cut(
    spans: Spans, openai_client: Any, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as a part may be, and marked, on the span's status and as an attribute."""
    monkeypatch.setenv("OTEL_LLM_CONTENT_PART_BYTES", "1024")
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=True)
    provider.script([Reply(status=400, error="no " * 5000)])
    with pytest.raises(Exception, match="no no"):
        ask(openai_client)
    said = str(spans.one().status.description)
    assert said.endswith(" bytes]")
    assert len(said) <= 1024 + len("BadRequestError: ")
    assert spans.attributes()[TRUNCATED] is True


@pytest.mark.parametrize("length", [300, 600, 2000])
def test_the_applications_own_limit_of_attributes_leaves_valid_json(
    length: int, openai_client: Any, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT cuts anywhere: we cut before it does, or leave the value out."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", str(length))
    spans = Spans()
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=True)
    provider.script([Reply("x" * 5000)])
    ask(openai_client)
    otel_llm.uninstrument()
    attributes = spans.attributes()
    assert json.loads(attributes[INPUT])[0]["parts"][0]["content"] == "hi"
    assert attributes[TRUNCATED] is True
    if length < 512:
        assert OUTPUT not in attributes
    else:
        assert len(attributes[OUTPUT]) <= length
        assert "truncated" in json.loads(attributes[OUTPUT])[0]["parts"][0]["content"]


def test_metadata_without_end_costs_no_attribute_of_the_call(
    spans: Spans, openai_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A span takes 128 attributes and would drop those that came first: what the call is."""
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=True)
    with otel_llm.context(user_id="ada", metadata={f"key {number}": "x" for number in range(500)}):
        ask(openai_client)
    attributes = spans.attributes()
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["user.id"] == "ada"
    assert {INPUT, OUTPUT, "otel_llm.cost.status", "otel_llm.metadata.key 0"} <= set(attributes)
    assert attributes[TRUNCATED] is True
    assert len(attributes) == 128
    assert caplog.records == []


@pytest.mark.parametrize("provider_of", PROVIDERS, ids=lambda provider: provider.name)
def test_no_endpoint_lets_content_pass_by(provider_of: Any) -> None:
    """What the dictionary calls content is read where content is kept, and nowhere among the values."""
    for endpoint in provider_of.endpoints:
        for table in (endpoint.parameters.values(), endpoint.paths, endpoint.constants):
            assert not [attribute.name for attribute in table if attribute.content], endpoint.method
        assert all(attribute.content for attribute in endpoint.content.values()), endpoint.method
        assert endpoint.result is None or endpoint.result.content, endpoint.method


class TestOnlyWhatIsNeeded:
    """Without content and guardrails, messages are neither read nor written."""

    def test_nothing_is_serialised(
        self, spans: Spans, openai_client: Any, gemini_client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def never(*_: Any) -> Any:
            raise AssertionError("a message was read")

        monkeypatch.setattr("otel_llm.content.Kept.keep", never)
        monkeypatch.setattr("otel_llm.invocation.Invocation.sent", property(never))
        monkeypatch.setattr("otel_llm.invocation.Invocation.output_messages", property(never))
        monkeypatch.setattr("otel_llm.prompts.link._table", {})  # of prompts that other tests have rendered
        monkeypatch.setattr("otel_llm.prompts.link._recent", ContextVar("none", default=()))
        monkeypatch.setattr(config, "_said", set())
        otel_llm.instrument(tracer_provider=spans.provider, capture_content=False)
        ask(openai_client)
        gemini_client.models.generate_content(model="gemini-2.5-flash", contents="hi")
        assert len(spans.all()) == 2
        assert config._said == set()
