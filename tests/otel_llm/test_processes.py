"""Processes of every kind: each span is sent, once, by the process that made the call, and nothing is held up.

Programs run as they would: in processes of their own, sending to a receiver over HTTP, and end in their own way.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_llm.testing import ScriptedProvider
from tests.support.receiver import Receiver

#: What every program begins with.
BEGIN = """
import os, signal, sys, threading, time
import otel_llm
otel_llm.instrument()

def ask(who, **more):
    import openai

    client = openai.OpenAI(api_key="x", base_url=os.environ["BASE_URL"], max_retries=0)
    return client.chat.completions.create(
        model="gpt-5-mini", messages=[{"role": "user", "content": "hi"}], user=who, **more)

def called(who):
    with otel_llm.context(user_id=who):
        ask(who)
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where spans arrive."""
    with Receiver() as receiver:
        yield receiver


def run(
    code: str, tmp_path: Path, provider: ScriptedProvider, *, begin: str = BEGIN, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs a program, from a file so that children can import it."""
    (tmp_path / "program.py").write_text(begin + textwrap.dedent(code))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OPENAI_"))}
    done = subprocess.run(
        [sys.executable, "program.py"], capture_output=True, text=True, timeout=100, cwd=tmp_path,
        env=clean | {"BASE_URL": provider.openai_base_url} | variables, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


def _users(receiver: Receiver, least: int = 0) -> Counter[Any]:
    return Counter(span.get("user.id") for span in receiver.spans(least))


# Forks ----------------------------------------------------------------------------------------------------------------

FORK = """
import httpx2, openai
from opentelemetry.trace import INVALID_SPAN_CONTEXT
from otel_llm import ongoing

def answer(request):  # all of it is here at once: a child must not read from its parent's connection
    chunk = '{"choices":[{"index":0,"delta":{"content":"Hi"}}]}'
    events = "".join(f"data: {event}\\n\\n" for event in (chunk, chunk, "[DONE]"))
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=events.encode())

here = openai.OpenAI(api_key="x", http_client=httpx2.Client(transport=httpx2.MockTransport(answer)))
stream, dropped = (here.chat.completions.create(model="m", messages=[], stream=True) for _ in range(2))
next(stream), next(dropped)
ongoing.begin("video_1", INVALID_SPAN_CONTEXT, "sora")
with otel_llm.call("by hand", model="m") as call:
    called("before")  # the parent has a connection to the receiver then, which the child must not use
    otel_llm.flush()
    child = os.fork()
if child == 0:
    list(stream)
    del dropped
    called("child")
    assert otel_llm.flush()
    os._exit(1 if ongoing.begun("video_1") else 0)
assert os.waitpid(child, 0)[1] == 0
list(stream)
dropped.close()
called("after")
assert ongoing.finish("video_1")
"""


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The spans of a program that forks in the middle of two streams and a call by hand."""
    with ScriptedProvider() as provider, Receiver() as receiver:
        variables = receiver.variables | {"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process"}
        run(FORK, tmp_path_factory.mktemp("fork"), provider, **variables)
        return receiver.spans()


def test_what_was_in_flight_at_a_fork_is_the_parents(forked: list[dict[str, Any]]) -> None:
    """The child may read on, drop or leave it: it is one span, and every call of either is one."""
    assert len({span["id"] for span in forked}) == len(forked) == 6
    assert Counter(span.get("user.id") for span in forked) == {"before": 1, "child": 1, "after": 1, None: 3}
    outcomes = Counter(span.get("otel_llm.stream.outcome") for span in forked)
    assert (outcomes["completed"], outcomes["closed_early"]) == (1, 1)


def test_a_fork_is_a_process_of_its_own_in_its_resource(forked: list[dict[str, Any]]) -> None:
    """OpenTelemetry gives a fork another resource, where a detector looks at the process."""
    pids = {span.get("user.id"): span["resource"]["process.pid"] for span in forked}
    assert pids["before"] == pids["after"] != pids["child"]


def test_a_fork_while_other_threads_work(tmp_path: Path, provider: ScriptedProvider, receiver: Receiver) -> None:
    """Locks are free in the child, whatever the parent's threads were about."""
    run(
        """
        from otel_llm import ongoing, patches, reaper

        locks = (ongoing._lock, patches.STATE.lock, reaper._starting)

        def work(lock):
            while True:
                with lock:
                    pass

        for lock in locks:
            threading.Thread(target=work, args=(lock,), daemon=True).start()
        for number in range(20):
            child = os.fork()
            if child == 0:
                os._exit(0 if all(lock.acquire(blocking=False) for lock in locks) else 1)
            assert os.waitpid(child, 0)[1] == 0
        """,
        tmp_path,
        provider,
        **receiver.variables,
    )


# Children of multiprocessing ------------------------------------------------------------------------------------------


def test_forked_children_send_before_they_end(tmp_path: Path, provider: ScriptedProvider, receiver: Receiver) -> None:
    """They end by ``os._exit``: what is waiting is sent before, also where multiprocessing is imported later."""
    run(
        """
        assert "multiprocessing.util" not in sys.modules
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        context = multiprocessing.get_context("fork")
        called("parent")
        children = [context.Process(target=called, args=(f"child {number}",)) for number in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            pool.submit(called, "pool").result()
        """,
        tmp_path,
        provider,
        **receiver.variables,
    )
    assert _users(receiver) == {"parent": 1, "child 0": 1, "child 1": 1, "pool": 1}


@pytest.mark.parametrize("how", ["spawn", "forkserver"])
def test_children_that_begin_anew_send_too(
    how: str, tmp_path: Path, provider: ScriptedProvider, receiver: Receiver
) -> None:
    """They import the program, which instruments them."""
    run(
        f"""
        if __name__ == "__main__":
            import multiprocessing

            child = multiprocessing.get_context({how!r}).Process(target=called, args=("child",))
            child.start()
            child.join()
        """,
        tmp_path,
        provider,
        **receiver.variables,
    )
    assert _users(receiver) == {"child": 1}


def test_a_child_may_instrument_itself(tmp_path: Path, provider: ScriptedProvider, receiver: Receiver) -> None:
    """What is done in the child alone is sent by the child."""
    run(
        """
        import multiprocessing

        def child():
            otel_llm.instrument()
            called("child")

        started = multiprocessing.get_context("fork").Process(target=child)
        started.start()
        started.join()
        """,
        tmp_path,
        provider,
        begin=BEGIN.replace("otel_llm.instrument()\n", ""),
        **receiver.variables,
    )
    assert _users(receiver) == {"child": 1}


# The end of a process -------------------------------------------------------------------------------------------------


def test_nothing_is_lost_at_the_usual_end(tmp_path: Path, provider: ScriptedProvider, receiver: Receiver) -> None:
    """Open streams, one in a daemon thread, and spans that wait: all are sent, with events and calls by hand."""
    run(
        """
        kept = ask("kept", stream=True)
        next(kept)

        def read():
            for _ in ask("daemon", stream=True):
                read_one.set()
                time.sleep(60)

        read_one = threading.Event()
        threading.Thread(target=read, daemon=True).start()
        assert read_one.wait(30)
        called("last")
        """,
        tmp_path,
        provider,
        **receiver.variables,
    )
    outcomes = Counter(span.get("otel_llm.stream.outcome") for span in receiver.spans())
    assert outcomes == {"abandoned": 2, None: 1}


def test_a_receiver_that_is_away_holds_up_nothing(tmp_path: Path, provider: ScriptedProvider) -> None:
    """``flush`` takes no longer than it is given, and the program ends, though the exporter would try for minutes."""
    found = run(
        "kept = ask('x', stream=True); next(kept); called('x'); print(otel_llm.flush(0.2))",
        tmp_path,
        provider,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_EXPORTER_OTLP_TIMEOUT="600",
    )
    assert found.stdout == "False\n"


def test_os_exit_needs_a_flush(tmp_path: Path, provider: ScriptedProvider, receiver: Receiver) -> None:
    """Nothing of Python's runs then: what is to be sent is flushed before, and a start event says what was begun."""
    variables = receiver.variables | {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_LLM_START_EVENTS": "true"}
    run("called('flushed'); otel_llm.flush(); called('lost'); os._exit(0)", tmp_path, provider, **variables)
    assert _users(receiver) == {"flushed": 1}
    assert receiver.events == ["otel_llm.call.started"]


def test_a_signal_with_a_handler_is_a_usual_end(tmp_path: Path, provider: ScriptedProvider, receiver: Receiver) -> None:
    """SIGTERM ends a program that has no handler at once; with one that exits, as servers have, all is sent."""
    program = """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        called("x")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    """
    run(program, tmp_path, provider, **receiver.variables)
    assert _users(receiver) == {"x": 1}


def test_threads_keep_their_own_calls(tmp_path: Path, provider: ScriptedProvider, receiver: Receiver) -> None:
    """Many calls in ten threads: a span each, with its own user, and one thread of ours."""
    run(
        """
        import openai
        from concurrent.futures import ThreadPoolExecutor

        client = openai.OpenAI(api_key="x", base_url=os.environ["BASE_URL"])
        asked = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}

        def many(thread):
            for number in range(3):
                with otel_llm.context(user_id=f"{thread} {number}"):
                    client.chat.completions.create(**asked)
                client.chat.completions.create(**asked, stream=True).close()

        with ThreadPoolExecutor(10) as pool:
            list(pool.map(many, range(10)))
        assert [thread.name for thread in threading.enumerate()].count("otel_llm-dropped-streams") == 1
        """,
        tmp_path,
        provider,
        **receiver.variables,
    )
    found = _users(receiver)
    assert found.pop(None) == 30
    assert found == {f"{thread} {number}": 1 for thread in range(10) for number in range(3)}


# The environment ------------------------------------------------------------------------------------------------------


def test_the_environment_is_left_alone(tmp_path: Path, provider: ScriptedProvider, receiver: Receiver) -> None:
    """No variable is written by importing, instrumenting, calling, streaming, flushing or taking it all back."""
    variables = receiver.variables | {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp"}
    run(
        """
        import otel_llm
        otel_llm.instrument(capture_content=True)
        from google import genai
        called("x")
        list(ask("x", stream=True))
        otel_llm.flush()
        otel_llm.uninstrument()
        assert dict(os.environ) == before, dict(os.environ).items() ^ before.items()
        """,
        tmp_path,
        provider,
        begin="import os\nbefore = dict(os.environ)\n" + BEGIN,
        **variables,
    )
