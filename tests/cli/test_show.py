"""What the command prints: tables of calls and of prompts, and the tree of a trace."""

from __future__ import annotations

from typing import Any

from otel_llm_collector.cli import show, tree

CALL: dict[str, Any] = {
    "start_time": "2026-11-20 10:00:01.123456789",
    "service_name": "web",
    "prompt_name": "rag_answer",
    "prompt_version": "2",
    "request_model": "gemini-flash-latest",
    "response_model": "gemini-3.8-flash",
    "provider": "gcp.gemini",
    "input_tokens": 1234,
    "output_tokens": 0,
    "cost_total": 0.001851,
    "duration_s": 0.2514,
    "guardrail_outcome": "passed",
    "status_code": "Unset",
    "error_type": "",
    "is_stream": True,
    "trace_id": "ab" * 16,
}


def printed(what: Any, width: int = 200) -> str:
    """As text, one line a row."""
    console = show.console()
    console.width = width
    with console.capture() as capture:
        console.print(what)
    return capture.get()


def span(span_id: str, parent: str = "", **values: Any) -> dict[str, Any]:
    base = {"span_id": span_id, "parent_span_id": parent, "span_name": f"POST /{span_id}", "service_name": "web"}
    nothing = dict.fromkeys(("provider", "prompt_name", "error_type", "guardrail_outcome", "status_message"), "")
    numbers = dict.fromkeys(("input_tokens", "output_tokens", "cost_total"))
    defaults = {"trace_id": "ab" * 16, "duration_s": 0.5, "status_code": "Unset", "is_stream": False}
    return {**base, **nothing, **numbers, **defaults, **values}


def test_a_call_is_one_line_with_all_that_matters() -> None:
    (line,) = (line for line in printed(show.calls_table([CALL])).splitlines() if "rag_answer" in line)
    for part in ("11-20 10:00:01", "web", "rag_answer@2", "gemini-3.8-flash", "1,234", "$0.001851", "251 ms", "passed"):
        assert part in line
    assert "streamed" in line
    assert "abababab" in line
    assert " 0 " in line


def test_what_is_not_known_is_not_shown_as_zero() -> None:
    unknown = CALL | {"cost_total": None, "input_tokens": None, "prompt_name": "", "response_model": ""}
    (line,) = (line for line in printed(show.calls_table([unknown])).splitlines() if "web" in line)
    assert "unpriced" in line
    assert "–" in line
    assert "gemini-flash-latest" in line


def test_names_are_shown_as_they_are() -> None:
    odd = CALL | {"service_name": "[red]web[/red]", "prompt_name": ":smile:"}
    text = printed(show.calls_table([odd]))
    assert "[red]web[/red]" in text
    assert ":smile:@2" in text
    assert "[bold]" in printed(tree.trace_tree([span("a", span_name="[bold]")]))


def test_a_failed_call_says_what_failed() -> None:
    failed = CALL | {"status_code": "Error", "error_type": "ServerError"}
    assert "ServerError" in printed(show.calls_table([failed]))


def test_a_prompt_that_is_never_priced_says_so() -> None:
    row = {
        "prompt_name": "tone_check", "prompt_version": "1", "models": "desk-tone-7b", "calls": 2, "errors": 0,
        "blocked": 1, "unpriced": 2, "input_tokens": 10, "output_tokens": 3, "cost_total": None, "p50_s": 0.02,
        "p95_s": 1.5,
    }  # fmt: skip
    text = printed(show.prompts_table([row]))
    for part in ("tone_check@1", "unpriced", "20 ms", "1.50 s"):
        assert part in text
    assert "$0.5" in printed(show.prompts_table([row | {"unpriced": 1, "cost_total": 0.5}]))


def test_a_trace_is_a_tree_across_services() -> None:
    call = span(
        "call", "b", span_name="chat gpt-6-luna", service_name="retrieval", provider="openai", prompt_name="rewrite",
        prompt_version="1", input_tokens=7, output_tokens=2, cost_total=0.25, guardrail_outcome="violated",
    )  # fmt: skip
    spans = [span("a"), span("b", "a", service_name="retrieval"), call]
    lines = printed(tree.trace_tree(spans)).splitlines()
    assert "2 services · 3 spans · 1 model calls · $0.25" in lines[0]
    depths = [line.index(service) for line, service in zip(lines[1:], ("web", "retrieval", "retrieval"), strict=True)]
    assert depths == sorted(depths)
    assert len(set(depths)) == 3
    for part in ("rewrite@1", "7 → 2 tokens", "$0.25", "guardrails: violated"):
        assert part in lines[3]


def test_costs_are_summed_up_the_tree() -> None:
    """Each span with the sum of all below it, where that is more than its own; ids that come twice count once each."""
    spans = [
        span("leaf", "mid", provider="openai", cost_total=0.25),
        span("root", "elsewhere"),
        span("mid", "root", provider="openai", cost_total=0.5),
        span("mid", "root", provider="openai", cost_total=1.0),
        span("free", "root"),
        span("one", "two", cost_total=2.0),
        span("two", "one"),
    ]
    assert tree.cost_sums(spans) == [0.25, 1.75, 0.75, 1.0, 0.0, 2.0, 0.0]
    lines = printed(tree.trace_tree(spans)).splitlines()
    assert [line.partition("Σ ")[2] for line in lines if "Σ" in line] == ["$1.75", "$0.750000"]


def test_a_chain_of_ten_thousand_spans_is_no_trouble() -> None:
    """Each is the parent of the one before it."""
    chain = [span(str(number), str(number + 1), cost_total=1.0) for number in range(10_000)]
    assert tree.cost_sums(chain) == [number + 1.0 for number in range(10_000)]


def test_a_tree_shows_every_span_whatever_their_parents_are() -> None:
    late = [
        span("child", "root"),
        span("root", "elsewhere"),
        span("one", "two"),
        span("two", "one"),
        span("own", "own"),
    ]
    text = printed(tree.trace_tree(late))
    assert all(f"POST /{name}" in text for name in ("child", "root", "one", "two", "own"))
    child, root = (next(line for line in text.splitlines() if name in line) for name in ("/child", "/root"))
    assert child.index("web") > root.index("web")


def test_an_error_is_told_in_its_place() -> None:
    assert "overloaded" in printed(tree.trace_tree([span("a", status_code="Error", status_message="overloaded")]))


def test_a_narrow_terminal_shows_fewer_columns_and_none_empty() -> None:
    """80 columns, as terminals are born: what matters most stays readable."""
    prompt = {"prompt_name": "nlu_topic_extraction", "prompt_version": "1", "models": "gemini-3.8-flash, gpt-6-luna"}
    numbers = {"calls": 12, "errors": 1, "blocked": 0, "input_tokens": 1_141, "output_tokens": 545, "unpriced": 0}
    by_prompt = prompt | numbers | {"cost_total": 0.0029, "p50_s": 0.064, "p95_s": 0.119}
    for table, words in (
        (show.calls_table([CALL], 80), ("rag_answer@2", "gemini-", "1,234", "$0.001851", "251 ms", "passed")),
        (show.prompts_table([by_prompt], 80), ("nlu_topic_ex", "1,141", "545", "$0.002900", "64 ms", "119 ms")),
    ):
        text = printed(table, width=80)
        assert max(map(len, text.splitlines())) <= 80
        for word in words:
            assert word in text
        assert "┳┳" not in text
    wide = printed(show.calls_table([CALL], 200))
    assert all(name in wide for name in ("time (UTC)", "service", "status", "trace"))


def test_a_terminal_obeys_nothing_that_a_span_says() -> None:
    """Escape sequences, carriage returns and texts that run backwards, in every text that is shown."""
    evil = "\x1b[2J\x1b]0;title\x07\x9b1m\r\u202e"
    texts = {name: evil for name, value in CALL.items() if isinstance(value, str)}
    rows = dict.fromkeys(("prompt_name", "prompt_version", "models"), evil)
    numbers = dict.fromkeys(("calls", "errors", "blocked", "input_tokens", "output_tokens", "p50_s", "p95_s"), 1)
    bad = span("a", span_name=evil, service_name=evil, status_code="Error", status_message=evil, provider=evil)
    for shown in (
        show.calls_table([CALL | texts | {"status_code": "Error"}]),
        show.prompts_table([rows | numbers | {"unpriced": 0, "cost_total": 1.0}]),
        tree.trace_tree([bad]),
    ):
        text = printed(shown)
        assert "[2J" in text
        assert not set(evil) & set(text) & set("\x1b\x07\x9b\r\u202e")


def test_a_failure_without_a_reason_is_one_all_the_same() -> None:
    """A message of white space is none."""
    assert "failed" in printed(tree.trace_tree([span("a", status_code="Error", status_message=" \n\t ")]))
    named = span("a", status_code="Error", status_message="\n", error_type="Timeout")
    assert "Timeout" in printed(tree.trace_tree([named]))


def test_calls_without_a_price_add_up_to_no_zero() -> None:
    """Neither at the top nor in sums; beside priced ones they are counted."""
    call = span("b", "a", provider="openai")
    assert "1 model calls · 1 unpriced" in printed(tree.trace_tree([span("a"), call]))
    assert tree.cost_sums([span("a"), call, span("c")]) == [None, None, 0.0]
    spans = [span("a"), call, span("c", "a", provider="openai", cost_total=2.0)]
    assert "2 model calls · $2.00 + 1 unpriced" in printed(tree.trace_tree(spans))
    assert tree.cost_sums(spans) == [2.0, None, 2.0]
