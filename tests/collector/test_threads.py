"""The threads behind the doors outlive what they do not expect; one that ended all the same is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from otel_llm_collector.engine import Engine
from otel_llm_collector.measures.counts import counts
from otel_llm_collector.settings import Settings


@contextmanager
def _answering(answer: bytes) -> Iterator[str]:
    """A server that is not ClickHouse: it answers everything with the same."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"clickhouse://127.0.0.1:{server.server_port}/default"
        server.shutdown()
        thread.join()


@contextmanager
def _engine(data: Path, store: str = "") -> Iterator[Engine]:
    with ExitStack() as stack:
        yield Engine(Settings(data=data, store=store or None), counts(), stack)


@pytest.mark.parametrize("answer", [b"testing\tUTC\n", b"<html>login</html>", b""], ids=["version", "page", "nothing"])
def test_a_server_that_is_not_clickhouse_ends_no_thread(tmp_path: Path, answer: bytes) -> None:
    """It may become one; until then it is a problem."""
    with _answering(answer) as url, _engine(tmp_path, url) as engine:
        problems = engine.problems()
        assert problems
        assert not [problem for problem in problems if "Threads" in problem]
        assert all(inserter.thread.is_alive() for inserter in engine.inserters.values())
        assert engine.watch.thread.is_alive()


def test_a_thread_that_has_ended_is_a_problem(tmp_path: Path) -> None:
    """By its name, and a collector without it is not ready."""
    with _engine(tmp_path) as engine:
        assert engine.problems() == []
        engine.inserters["logs"].stop()
        assert engine.problems() == ["Threads of the collector have ended: otel-llm-logs; start it anew."]
