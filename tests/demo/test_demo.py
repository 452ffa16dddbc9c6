"""The demo, run once as a user runs it, and everything that it must show."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from otel_llm_collector.lock import FolderLock
from otel_llm_collector.running import Running
from otel_llm_demo.corpus import passages
from otel_llm_demo.dialogue import VISITS
from otel_llm_demo.play import questions
from tests.support.collector import start_collector
from tests.support.command import TIMEOUT_S, otel_llm, sentence, start

SERVICES = ["retrieval", "understanding", "web"]


@dataclass(frozen=True)
class Run:
    """One run of ``otel-llm demo --exit --json``."""

    data: Path
    done: subprocess.CompletedProcess[str]
    shown: dict[str, Any]

    @property
    def calls(self) -> list[dict[str, Any]]:
        return list(self.shown["calls"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    data = tmp_path_factory.mktemp("demo") / "data"
    done = otel_llm("demo", "--exit", "--json", "--data", str(data))
    assert done.returncode == 0, done.stderr
    return Run(data, done, json.loads(done.stdout))


def test_it_prints_one_object_and_shows_its_progress_elsewhere(run: Run) -> None:
    assert sorted(run.shown) == ["calls", "totals", "traces"]
    assert run.done.stdout.count("\n") == 1
    assert f"{questions()}/{questions()}" in run.done.stderr


def test_every_call_has_all_that_matters(run: Run) -> None:
    assert len(run.calls) == 63
    texts = (
        "provider", "request_model", "response_model", "prompt_name", "prompt_version", "guardrail_outcome",
        "user_id", "session_id", "call_type",
    )  # fmt: skip
    for call in run.calls:
        assert all(call[name] for name in texts), call
        assert call["input_tokens"] > 0, call
        assert call["output_tokens"] is not None, call
        assert call["duration_s"] > 0, call
        assert (call["cost_total"] is None) == (call["cost_status"] == "unpriced"), call
        assert call["cost_total"] is None or call["cost_total"] > 0, call


def test_every_way_of_calling_is_in_it(run: Run) -> None:
    def count(**wanted: Any) -> int:
        return sum(all(call[name] == value for name, value in wanted.items()) for call in run.calls)

    assert count(provider="gcp.gemini", is_stream=True) == 3
    assert count(openai_api_type="chat_completions", is_stream=True) == 3
    assert count(openai_api_type="responses", is_stream=True) == 1
    assert count(openai_api_type="responses", is_stream=False) == 11
    assert count(operation="embeddings", output_tokens=0) == 14
    assert count(cost_status="unpriced", request_model="desk-tone-7b") == 1
    assert count(request_model="gemini-flash-latest", response_model="gemini-3.8-flash") == 1
    assert sum(call["cache_read_tokens"] or 0 for call in run.calls) > 0
    assert sum(call["reasoning_tokens"] or 0 for call in run.calls) > 0
    assert sum("tool_call" in str(call["finish_reasons"]) for call in run.calls) == 1
    assert {call["prompt_name"] for call in run.calls} == {
        "clarification_question_generation", "educational_script_generation", "embed_passage", "embed_query",
        "intent_classification", "nlu_topic_extraction", "rag_answer", "rag_query_rewrite", "rag_synthesis",
        "session_summary", "tone_check",
    }  # fmt: skip
    assert {call["prompt_version"] for call in run.calls if call["prompt_name"] == "rag_answer"} == {"2"}


def test_one_call_failed_in_mid_stream_and_kept_what_it_had_used(run: Run) -> None:
    (failed,) = (call for call in run.calls if call["status_code"] == "Error" and not call["guardrail_blocked"])
    assert (failed["is_stream"], failed["stream_outcome"], failed["prompt_name"]) == (True, "error", "rag_answer")
    assert "overloaded" in failed["status_message"]
    assert failed["error_type"]
    assert failed["output_tokens"] > 0
    answers = [call for call in run.calls if call["trace_id"] == failed["trace_id"] and call["is_stream"]]
    assert sorted(call["provider"] for call in answers) == ["gcp.gemini", "openai"]


def test_one_answer_was_blocked_by_us_and_one_by_the_provider(run: Run) -> None:
    (blocked,) = (call for call in run.calls if call["guardrail_blocked"])
    assert blocked["guardrail_outcome"] == "blocked"
    assert blocked["violated_rules"] == ["no_false_claims"]
    assert blocked["output_tokens"] > 0
    (refused,) = (call for call in run.calls if "content_filter" in call["finish_reasons"])
    assert (refused["prompt_name"], refused["output_tokens"]) == ("nlu_topic_extraction", 0)
    assert any(call["guardrail_outcome"] == "violated" and call["user_id"] == "abraham" for call in run.calls)


def test_every_trace_goes_through_all_three_services(run: Run) -> None:
    assert len(run.shown["traces"]) == questions()
    for trace in run.shown["traces"]:
        assert trace["services"] == SERVICES
        spans = {span["span_id"]: span for span in trace["spans"]}
        assert {span["trace_id"] for span in trace["spans"]} == {trace["trace_id"]}
        (root,) = (span for span in trace["spans"] if span["parent_span_id"] not in spans)
        assert (root["service_name"], root["span_kind"], root["parent_span_id"]) == ("web", "Server", "")
        for span in trace["spans"]:
            parent = spans.get(span["parent_span_id"])
            if parent is None or parent["service_name"] == span["service_name"]:
                continue
            hop = (parent["service_name"], parent["span_kind"], span["service_name"], span["span_kind"])
            assert hop in (
                ("web", "Client", "retrieval", "Server"),
                ("retrieval", "Client", "understanding", "Server"),
            )


def test_call_by_call_hour_by_hour_and_the_services_agree(run: Run) -> None:
    totals = run.shown["totals"]
    assert totals["llm_calls"] == totals["rollup"] == totals["services"]
    calls = run.calls
    assert totals["services"]["calls"] == len(calls)
    assert totals["services"]["input_tokens"] == sum(call["input_tokens"] for call in calls)
    assert totals["services"]["output_tokens"] == sum(call["output_tokens"] for call in calls)
    assert totals["services"]["cost"] == pytest.approx(sum(call["cost_total"] or 0 for call in calls), abs=1e-9)


def test_it_leaves_nothing_running(run: Run) -> None:
    assert Running.find(run.data) is None
    for name in ("collector", *SERVICES):
        assert "Traceback" not in (run.data / "demo" / f"{name}.log").read_text()


# Looking closer, at the data that the demo left ---------------------------------------------------------------------
def test_calls_and_their_limit(run: Run) -> None:
    done = otel_llm("calls", "--json", "--limit", "100", "--data", str(run.data))
    assert json.loads(done.stdout) == run.calls
    done = otel_llm("calls", "--limit", "2", "--data", str(run.data))
    assert done.returncode == 0
    assert "Last 2 calls" in done.stdout
    assert done.stdout.count(run.calls[0]["trace_id"][:8]) >= 1


def test_a_trace_by_its_first_digits_or_by_the_handle_of_a_call(run: Run) -> None:
    trace = run.shown["traces"][0]
    call = next(span for span in trace["spans"] if span["provider"])
    handle = f"00-{call['trace_id']}-{call['span_id']}-01"
    for given in (trace["trace_id"][:12], trace["trace_id"].upper(), handle):
        done = otel_llm("trace", given, "--json", "--data", str(run.data))
        whole = json.loads(done.stdout)
        assert whole["trace_id"] == trace["trace_id"]
        assert [{name: span[name] for name in span if name != "cost_sum"} for span in whole["spans"]] == trace["spans"]
    done = otel_llm("trace", trace["trace_id"], "--data", str(run.data))
    assert f"trace {trace['trace_id']} · 3 services · {len(trace['spans'])} spans" in done.stdout
    assert done.stdout.count("POST /understand") == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [("xyz", "xyz is not a trace id"), ("f" * 32, "No trace begins with"), ("", "is not a trace id")],
)
def test_a_trace_that_is_not_there_is_said(run: Run, given: str, said: str) -> None:
    assert said in sentence(otel_llm("trace", given, "--data", str(run.data)))


# With a collector that runs already ---------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def staying(run: Run) -> Iterator[tuple[subprocess.Popen[str], Running]]:
    """The demo on the same data, beside a collector that is there before and after it, staying up."""
    collector = start_collector(run.data)
    running = Running.find(run.data)
    assert running is not None
    process = start("demo", "--data", str(run.data))
    try:
        yield process, running
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
        collector.stop()


def test_it_uses_the_collector_stays_up_and_ends_on_ctrl_c(
    run: Run, staying: tuple[subprocess.Popen[str], Running]
) -> None:
    process, running = staying
    assert process.stderr is not None
    assert process.stdout is not None
    said = ""
    for line in process.stderr:
        said += line
        if "Everything stays up" in line:
            break
    assert f"Using the collector that runs already, process {running.pid}" in said
    second = otel_llm("demo", "--exit", "--data", str(run.data))  # each would count the other's calls
    assert sentence(second).startswith(f"Process {process.pid} already uses {run.data}/demo; ")
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    os.kill(running.pid, 0)
    assert "Cost and latency by prompt" in shown
    assert "3 services" in shown
    assert "All three agree." in shown  # of this run alone: the calls of the first one are in the same tables
    assert "63 model calls in" in shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_ends_what_it_started_when_its_terminal_is_closed(tmp_path: Path, number: signal.Signals) -> None:
    process = start("demo", "--data", str(tmp_path / "data"))
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Waiting for web"):
            break
    process.send_signal(number)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode > 0
    lock = FolderLock(tmp_path / "data")
    lock.acquire()  # the collector has ended
    lock.release()


def test_its_services_end_when_it_is_killed(tmp_path: Path) -> None:
    """The collector stays, with everything that it has, and the next demo uses it."""
    process = start("demo", "--data", str(tmp_path))
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("ada"):  # the services answer
            break
    children = [line.split(None, 2) for line in _processes() if line.split()[1] == str(process.pid)]
    services = {pid for pid, _, command in children if "otel_llm_demo" in command}
    process.kill()
    process.communicate()
    assert len(services) == len(SERVICES)
    deadline = time.monotonic() + TIMEOUT_S
    while services & {line.split()[0] for line in _processes()} and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not services & {line.split()[0] for line in _processes()}
    running = Running.find(tmp_path)
    assert running is not None
    os.kill(running.pid, signal.SIGTERM)
    while Running.find(tmp_path) is not None:
        time.sleep(0.1)


def _processes() -> list[str]:
    """A line a process: its number, its parent's, its command; those that only wait to be asked how they ended not."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True)
    found = [line.split(None, 3) for line in listed.stdout.splitlines()]
    return [f"{pid} {parent} {command}" for pid, parent, state, command in found if not state.startswith("Z")]


# The pieces ---------------------------------------------------------------------------------------------------------
def test_the_texts_name_their_sources() -> None:
    known = passages()
    assert len(known) == 6
    for passage in known:
        assert any(name in passage.source for name in ("Faraday", "Darwin", "Lincoln"))
        assert len(passage.text) > 300


def test_no_question_is_part_of_another() -> None:
    asked = [turn.question for visit in VISITS for turn in visit.turns]
    assert len(asked) == questions()
    assert not [one for one in asked for two in asked if one != two and one in two]
