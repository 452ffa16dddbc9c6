"""The help desk of ``examples``: a question is one trace through three services and a worker, whatever goes wrong."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.collector import ROOT
from tests.support.helpdesk import MARK, Ask, Played, cost, play, tree

#: One question, with all that the customer does not see.
WHOLE = """\
gateway Server POST /ask
  gateway Client POST
    answers Server POST /answer
      answers Client GET
        tickets Server GET /tickets
      answers Client chat gpt-5-nano
      answers Client embeddings text-embedding-3-small
      answers Client chat gpt-5-mini
      answers Client chat gpt-5-nano
  gateway Client POST
    tickets Server POST /tickets
      tickets Client generate_content gemini-3.5-flash-lite
      worker Consumer sum up
        worker Client chat gpt-5-mini
"""
#: What is left of one whose customer went away while the answer was written.
LEFT = """\
gateway Server POST /ask
  gateway Client POST
    answers Server POST /answer
      answers Client GET
        tickets Server GET /tickets
      answers Client chat gpt-5-nano
      answers Client embeddings text-embedding-3-small
      answers Client chat gpt-5-mini
"""
#: What all other processes say of one in which ``answers`` was killed while it wrote.
BROKEN = """\
gateway Server POST /ask
  gateway Client POST
  gateway Client POST
    tickets Server POST /tickets
      tickets Client generate_content gemini-3.5-flash-lite
      worker Consumer sum up
        worker Client chat gpt-5-mini
"""
#: Tickets that make a digest.
BATCH = 5
PROMPTS = ["query_rewrite", "embed_query", "support_answer", "tone_check", "ticket_triage", "ticket_summary"]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Played once, for all workers of pytest."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    kept = folder / "helpdesk.pickle"
    with (folder / "helpdesk.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_bytes(pickle.dumps(play(folder / "helpdesk")))
    found: Played = pickle.loads(kept.read_bytes())
    return found


def test_a_question_is_one_trace_with_its_whole_tree_under_concurrency_and_retries(played: Played) -> None:
    assert len(played.whole) == 29
    assert sum(ask.mark.startswith("limited") for ask in played.whole) == 10
    for ask in played.whole:
        assert tree(played.traces[ask.trace_id]) == WHOLE, ask
        assert ask.text == f"The answer to {ask.mark}. " * 5


def test_no_trace_is_anything_but_a_question_a_digest_or_the_index(played: Played) -> None:
    asked = {ask.trace_id for ask in played.asks}
    assert len(asked) == len(played.asks)
    others = [spans for trace_id, spans in played.traces.items() if trace_id not in asked]
    roots = Counter((spans[0]["service_name"], spans[0]["span_name"], len(spans)) for spans in others)
    digests = (len(played.whole) + len(played.broken)) // BATCH
    assert roots == {
        ("worker", "digest", 2): digests,
        ("answers", "embeddings text-embedding-3-small", 1): 2,  # it was started twice
    }


def test_every_span_of_a_whole_trace_is_in_its_tree(played: Played) -> None:
    for ask in played.whole + played.left:
        assert [span["span_id"] for span in _orphans(played.traces[ask.trace_id])] == [], ask


def test_a_retry_makes_no_second_span(played: Played) -> None:
    for ask in played.whole:
        calls = [call for call in played.calls if call["trace_id"] == ask.trace_id]
        assert [call["prompt_name"] for call in calls] == PROMPTS
        assert {call["status_code"] for call in calls} == {"Unset"}
        often = 2 if ask.mark.startswith("limited") else 1
        assert [played.requests[ask.mark, step] for step in ("rewrite", "answer", "triage")] == [often] * 3


def test_a_customer_who_goes_away_ends_the_work_and_leaves_a_whole_trace(played: Played) -> None:
    for ask in played.left:
        assert tree(played.traces[ask.trace_id]) == LEFT
        (answer,) = _calls(played, ask, "support_answer")
        assert answer["stream_outcome"] == "closed_early"
        assert len(ask.text) < len(f"The answer to {ask.mark}. ") * 60


def test_a_service_that_crashes_leaves_one_trace_and_nothing_of_another(played: Played) -> None:
    for ask in played.broken:
        spans = played.traces[ask.trace_id]
        assert ask.text.endswith("A colleague will write to you.")
        assert tree(spans) == BROKEN
        (root, *_) = spans
        missing = {span["parent_span_id"] for span in _orphans(spans)}
        assert len(missing) == 1  # the span of the request, which died with its process
        assert {span["service_name"] for span in _orphans(spans)} == {"answers"}
        assert root["span_name"] == "POST /ask"


def test_the_model_calls_of_a_trace_are_of_its_customer_alone(played: Played) -> None:
    for ask in played.asks:
        calls = [call for call in played.calls if call["trace_id"] == ask.trace_id]
        assert {call["user_id"] for call in calls} == {ask.user}
        assert {call["tenant_id"] for call in calls} == {ask.company}
        assert {call["session_id"] for call in calls} == {ask.session}
        assert set(MARK.findall(played.texts[ask.trace_id])) == {ask.mark}
        if ask.number % 2:
            assert ask.request_id == f"request-{ask.number}"


def test_a_job_and_its_ticket_are_said_of_the_calls_that_it_makes(played: Played) -> None:
    (last,) = played.whole[-1:]
    (call,) = _calls(played, last, "ticket_summary")
    assert call["task_id"].startswith("tickets-")
    assert (call["tenant_id"], call["metadata"]) == (last.company, {"ticket_id": call["task_id"]})


def test_a_digest_has_a_link_to_each_ticket_that_is_in_it(played: Played) -> None:
    jobs = {(span["trace_id"], span["span_id"]) for span in played.spans if span["span_name"] == "sum up"}
    links = [link for digest in played.links for link in digest]
    assert {len(digest) for digest in played.links} == {BATCH}
    assert len(links) == len(set(links)) == len(jobs) // BATCH * BATCH
    assert set(links) <= jobs


def test_the_sums_up_each_tree_are_the_stores(played: Played) -> None:
    up = {trace_id: sum(map(cost, spans), Decimal(0)) for trace_id, spans in played.traces.items()}
    for ask in played.whole:
        spans = played.traces[ask.trace_id]
        (root,) = (span for span in spans if not span["parent_span_id"])
        assert _below(spans, root) == up[ask.trace_id] > 0
    said: dict[str, Callable[[dict[str, Any]], str]] = {
        "trace_id": lambda span: span["trace_id"],
        "service_name": lambda span: span["service_name"],
        "prompt_name": lambda span: span["prompt_name"],
        "user_id": lambda span: _user(played, span),
    }
    for (table, column), stored in played.sums.items():
        summed: dict[str, Decimal] = defaultdict(Decimal)
        for span in played.spans:
            if span["provider"]:
                summed[said[column](span)] += cost(span)
        assert summed == stored, (table, column)
    assert _by_service_prompt_and_user(played) == {
        (row["service_name"], row["prompt_name"], row["user_id"]): cost(row) for row in played.costs
    }


def test_a_log_line_leads_to_the_trace(played: Played) -> None:
    lines = [json.loads(line) for line in (played.logs / "gateway.log").read_text().splitlines()]
    answered = {line["trace_id"]: line for line in lines if line["message"] == "answered"}
    for ask in played.whole:
        line = answered[ask.trace_id]
        assert (line["request_id"], line["user_id"], line["level"]) == (ask.request_id, ask.user, "INFO")


def test_log_lines_are_stored_beside_the_calls_of_their_trace(played: Played) -> None:
    stored = {(line["trace_id"], line["service"]) for line in played.stored_lines if line["text"] == "answered"}
    assert {(ask.trace_id, "gateway") for ask in played.whole} <= stored


def test_one_command_runs_it_all(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "helpdesk", "--data", str(tmp_path)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OPENAI_", "GEMINI_"))}
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Yes. The details are in the article") == 5
    for service in ("gateway", "answers", "tickets", "worker"):
        assert service in done.stdout.partition("otel-llm trace ")[2]
    for log in (tmp_path / "helpdesk").glob("*.log"):
        assert "Traceback" not in log.read_text(), log


def _calls(played: Played, ask: Ask, prompt: str) -> list[dict[str, Any]]:
    return [call for call in played.calls if (call["trace_id"], call["prompt_name"]) == (ask.trace_id, prompt)]


def _orphans(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = {span["span_id"] for span in spans} | {""}
    return [span for span in spans if span["parent_span_id"] not in known]


def _user(played: Played, span: dict[str, Any]) -> str:
    return next((ask.user for ask in played.asks if ask.trace_id == span["trace_id"]), "")


def _by_service_prompt_and_user(played: Played) -> dict[tuple[str, str, str], Decimal]:
    """What the calls in all trees cost."""
    summed: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for span in played.spans:
        if span["provider"]:
            summed[span["service_name"], span["prompt_name"], _user(played, span)] += cost(span)
    return dict(summed)


def _below(spans: list[dict[str, Any]], span: dict[str, Any]) -> Decimal:
    """The cost of a span and of all below it."""
    below = (_below(spans, each) for each in spans if each["parent_span_id"] == span["span_id"])
    return sum(below, cost(span))
