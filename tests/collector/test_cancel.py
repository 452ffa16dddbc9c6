"""Questions that nobody waits for any more are stopped: were they not, these tests would take hours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from otel_llm_collector.app import Collector
from otel_llm_collector.settings import Settings
from tests.collector.conftest import Start
from tests.support.clickhouse import ClickHouse
from tests.support.collector import Handle, get, send, start_collector
from tests.support.questions import DEAF, ENDLESS, ask


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    handle = start_collector(tmp_path_factory.mktemp("patient"), query_seconds=36_000)
    yield handle
    handle.stop()


def test_a_question_of_a_client_that_goes_away_is_stopped(patient: Handle) -> None:
    """Those that run and those that wait for a thread."""
    where = urlsplit(patient.api)
    gone = []
    for _ in range(12):
        connection = HTTPConnection(where.hostname or "", where.port, timeout=60)
        connection.request("POST", "/", ENDLESS)
        gone.append(connection)
    assert get(patient.api + "/livez")[0] == 200
    for connection in gone:
        connection.close()
    assert ask(patient, "SELECT 1")[2] == b"1\n"


class Endless:
    """A question that is being answered, with the id ``mine``; ``answer`` is what it was told in the end."""

    def __init__(self, collector: Handle) -> None:
        self._collector = collector
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        while ask(collector, "SELECT 1", query_id="mine")[1].get("X-ClickHouse-Exception-Code") != "216":
            pass

    def _ask(self) -> None:
        number = "216"
        while number == "216":  # the id is one question's at a time
            self.answer = ask(self._collector, ENDLESS, query_id="mine")
            number = self.answer[1].get("X-ClickHouse-Exception-Code", "")

    @property
    def runs(self) -> bool:
        return self._thread.is_alive()

    def wait(self) -> str:
        """The number of the error that it ended with."""
        self._thread.join()
        return str(self.answer[1]["X-ClickHouse-Exception-Code"])


def test_a_question_is_stopped_by_its_id(patient: Handle) -> None:
    """As DBeaver's button does it; an id is one question's as long as that runs."""
    endless = Endless(patient)
    assert ask(patient, "KILL QUERY WHERE query_id = 'other'")[::2] == (200, b"")
    assert endless.runs
    assert ask(patient, "KILL QUERY WHERE query_id = 'mine' SYNC")[2] == b"waiting\tmine\n"
    assert endless.wait() == "394"
    assert ask(patient, "KILL QUERY WHERE 1")[0] == 403
    assert ask(patient, "SELECT 1", query_id="mine")[2] == b"1\n"


def test_who_comes_second_with_an_id_stops_nothing_by_going_away(patient: Handle) -> None:
    """Refused or not yet, it is not the one that has the id."""
    endless = Endless(patient)
    where = urlsplit(patient.api)
    for _ in range(5):
        with closing(HTTPConnection(where.hostname or "", where.port, timeout=60)) as second:
            second.request("POST", "/?query_id=mine", "SELECT 1 UNION ALL SELECT 2")
        with closing(HTTPConnection(where.hostname or "", where.port, timeout=60)) as second:
            second.request("POST", "/?query_id=mine", "SELECT 1")
            assert second.getresponse().status == 500
    assert ask(patient, "SELECT 1")[0] == 200
    assert endless.runs
    assert ask(patient, "KILL QUERY WHERE query_id = 'mine' SYNC")[0] == 200
    assert endless.wait() == "394"


def test_stopping_leaves_no_handles(server: ClickHouse, tmp_path: Path) -> None:
    """Of the store, however many clients go away."""
    settings = Settings(tmp_path, server.url, grpc_port=0, http_port=0, api_port=0, jaeger_port=0, query_seconds=36_000)
    with Collector(settings) as collector:
        assert collector.running is not None
        api = collector.running.api
        where = urlsplit(api)

        def go_away() -> None:
            with closing(HTTPConnection(where.hostname or "", where.port, timeout=60)) as connection:
                connection.request("POST", "/", ENDLESS)
                get(api + "/livez")  # it has come by now

        handles = collector._engine.store._clients
        for _ in range(12):  # each of the threads has asked, and stopped, something
            go_away()
        assert send("POST", api, b"SELECT 1")[0] == 200
        before = len(handles)
        for _ in range(12):
            go_away()
        assert send("POST", collector.running.api, b"SELECT 1")[0] == 200
        assert len(handles) == before


def test_a_call_that_nothing_stops_holds_nobody_up(start: Start, tmp_path: Path) -> None:
    """Its client is told that the time is over, others that there is no thread for them; and the collector ends."""
    collector = start(tmp_path / "data", query_seconds=1)
    told: list[str] = []

    def wait() -> None:
        told.append(ask(collector, DEAF)[1]["X-ClickHouse-Exception-Code"])

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    code, headers, answer = ask(collector, "SELECT 1")
    assert (code, headers["X-ClickHouse-Exception-Code"]) == (503, "202")
    assert answer == b"Code: 202. DB::Exception: No thread was free for 1 second. (TOO_MANY_SIMULTANEOUS_QUERIES)\n"
    assert send("POST", f"{collector.api}/v1/flush", b"")[0] == 200
    assert told == ["159"] * 4
    assert collector.stop() == 0


def test_a_collector_that_stops_does_not_wait_for_questions(start: Start, tmp_path: Path) -> None:
    """They are stopped with it."""
    collector = start(tmp_path / "data", query_seconds=36_000)
    endless = Endless(collector)
    assert collector.stop() == 0
    assert endless.wait() == "394"


def test_a_question_to_a_server_is_stopped_too(start: Start, tmp_path: Path) -> None:
    """And its schema is shown as that of the embedded store; the server is the stand-in."""
    server = ClickHouse(tmp_path / "server")
    server.start()
    try:
        collector = start(tmp_path / "data", store=server.url, query_seconds=36_000)
        assert ask(collector, "SHOW DATABASES LIKE 'o%'")[2] == b"otel\n"
        assert ask(collector, "SELECT name FROM system.tables WHERE name = 'llm_calls'")[2] == b"llm_calls\n"
        endless = Endless(collector)
        assert ask(collector, "KILL QUERY WHERE query_id = 'mine'")[0] == 200
        assert endless.wait() == "394"
        assert collector.stop() == 0
    finally:
        server.stop()
