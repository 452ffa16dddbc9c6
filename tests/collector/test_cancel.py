"""Questions that nobody waits for any more are stopped: were they not, these tests would take hours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.collector.conftest import Start
from tests.support.clickhouse import ClickHouse
from tests.support.collector import Handle, get, start_collector
from tests.support.questions import ENDLESS, ask


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
    assert ask(patient, "KILL QUERY WHERE query_id = 'other'")[2] == b"waiting\tother\n"
    assert endless.runs
    assert ask(patient, "KILL QUERY WHERE query_id = 'mine' SYNC")[2] == b"waiting\tmine\n"
    assert endless.wait() == "394"
    assert ask(patient, "KILL QUERY WHERE 1")[0] == 403
    assert ask(patient, "SELECT 1", query_id="mine")[2] == b"1\n"


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
