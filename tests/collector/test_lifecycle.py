"""Starting, stopping, and everything that can be in the way."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from otel_llm_collector.app import Collector
from otel_llm_collector.client import Reader
from otel_llm_collector.errors import CollectorError
from otel_llm_collector.lock import FolderLock, Locked
from otel_llm_collector.running import Running
from otel_llm_collector.settings import Settings
from tests.collector.conftest import Start
from tests.support.collector import get, launch, send
from tests.support.otlp import START, body, span, utc

PROTOBUF = {"Content-Type": "application/x-protobuf"}
CALL = {"gen_ai.operation.name": "chat"}


def _send(url: str, *bodies: bytes) -> None:
    for sent in bodies:
        assert send("POST", f"{url}/v1/traces", sent, PROTOBUF)[0] == 200


def _complaint(data: Path, **options: Any) -> str:
    """What a collector says that does not start."""
    process = launch(data, **options)
    complaint = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "Traceback" not in complaint
    return complaint.strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_stores_everything_that_was_accepted(tmp_path: Path, number: signal.Signals, start: Start) -> None:
    """At once, with segments that are neither large nor old; nothing of it runs afterwards."""
    collector = start(tmp_path, segment_age_s=3600)
    _send(collector.http, *(body(*(span(CALL) for _ in range(100))) for _ in range(10)))
    assert collector.query("SELECT count() AS n FROM otel_traces") == [{"n": 0}]
    os.kill(collector.pid, number)
    assert collector.process.wait(60) == 0
    collector.process.communicate()
    assert not (tmp_path / "collector.json").exists()
    assert list((tmp_path / "log").rglob("*.seg")) == []
    with Reader.open(tmp_path) as reader:
        assert reader.running is None
        assert reader.query("SELECT count() AS n, (SELECT sum(calls) FROM llm_calls_hourly) AS c FROM otel_traces") == [
            {"n": 1000, "c": 1000}
        ]


def test_one_collector_a_folder(tmp_path: Path, start: Start) -> None:
    """The second says which process has it; when that one dies the lock is free. What is in it is its owner's."""
    collector = start(tmp_path)
    assert _complaint(tmp_path) == (f"Process {collector.pid} already uses {tmp_path}; stop it or use another --data.")
    folders = [tmp_path / "log", tmp_path / "log" / "traces", tmp_path / "store"]
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700] * 3
    collector.kill()
    assert (tmp_path / "collector.json").exists()
    assert Running.find(tmp_path) is None
    again = start(tmp_path)
    assert again.stop() == 0


def test_a_lock_ends_with_its_holder(tmp_path: Path) -> None:
    """Within a process too, and it names the process."""
    first = FolderLock(tmp_path)
    first.acquire()
    with pytest.raises(Locked, match=f"Process {os.getpid()} already uses {tmp_path}"):
        FolderLock(tmp_path).acquire()
    first.release()
    second = FolderLock(tmp_path)
    second.acquire()
    second.release()


def test_a_request_is_recognised_after_a_crash(tmp_path: Path, start: Start) -> None:
    """Its sender did not get the answer, and sends it again to the collector that replays it."""
    collector = start(tmp_path, segment_age_s=3600)
    sent = body(span(CALL), service="again")
    _send(collector.http, sent)
    collector.kill()
    collector = start(tmp_path)
    _send(collector.http, sent)
    collector.flush()
    assert collector.query("SELECT count() AS n FROM otel_traces") == [{"n": 1}]
    status = collector.status()["signals"]["traces"]
    assert (status["replayed_segments"], status["duplicate_requests"]) == (1, 1)
    collector.stop()


def test_a_damaged_log_is_delivered_but_for_the_damage(tmp_path: Path, start: Start) -> None:
    """A flipped record is set aside, a torn tail is cut, the others are stored; both are counted."""
    collector = start(tmp_path, segment_age_s=3600)
    _send(collector.http, *(body(span({"n": n})) for n in range(3)))
    collector.kill()
    (segment,) = (tmp_path / "log" / "traces").glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data + data[:20])
    collector = start(tmp_path)
    collector.flush()
    assert collector.query("SELECT SpanAttributes['n'] AS n FROM otel_traces ORDER BY n") == [{"n": "0"}, {"n": "2"}]
    status = collector.status()["signals"]["traces"]
    assert (status["quarantined"], status["torn_bytes"]) == (1, 20)
    assert len(list((tmp_path / "log" / "quarantine").iterdir())) == 1
    collector.stop()


def test_a_data_folder_that_cannot_be_used(tmp_path: Path) -> None:
    """Named in full, with the reason."""
    (tmp_path / "file").write_text("")
    assert _complaint(tmp_path / "file" / "data") == (
        f"The data folder {tmp_path}/file/data cannot be used: Not a directory."
    )
    (tmp_path / "loop").symlink_to("loop")
    assert _complaint(tmp_path / "loop") == (
        f"The data folder {tmp_path}/loop cannot be used: Too many levels of symbolic links."
    )


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("grpc_port", "OTLP/gRPC cannot listen on 127.0.0.1:{port}: the port is taken"),
        ("http_port", "OTLP/HTTP cannot listen on 127.0.0.1:{port}: Address already in use."),
        ("api_port", "The API cannot listen on 127.0.0.1:{port}: Address already in use."),
    ],
)
def test_a_port_that_is_taken(tmp_path: Path, option: str, words: str) -> None:
    """Which door, and where; and the folder is free again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert words.format(port=port) in _complaint(tmp_path, **{option: port})
    FolderLock(tmp_path).acquire()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://x", "Store mysql://x is not a store: write chdb:///absolute/path or clickhouse://"),
        ("clickhouse:8123", "Store clickhouse:8123 is not a store"),
        ("chdb://relative/path", "Store chdb://relative/path must be chdb:// and an absolute path"),
        ("http://me:secret@host/db", "Store http://me:***@host/db is not a store"),
        ("clickhouse://host:port/db", "Store clickhouse://host:port/db is not a store"),
    ],
)
def test_a_store_that_is_none(tmp_path: Path, url: str, words: str) -> None:
    """With what would be right, and never the password."""
    complaint = _complaint(tmp_path, store=url)
    assert words in complaint
    assert "secret" not in complaint


@pytest.mark.parametrize("name", ["a*b", "a?b", "a{b,c}", "{1..2}"])
def test_a_path_that_is_a_pattern(tmp_path: Path, name: str) -> None:
    """The engine would read other files, or none and call that a success: refused before anything is accepted."""
    assert _complaint(tmp_path / name).endswith(
        f"{name}/store must be chdb:// and an absolute path without any of * ? {{ }}."
    )
    complaint = _complaint(tmp_path / name, store=f"chdb://{tmp_path}/store")
    assert complaint == f"The path of {tmp_path / name} must be without any of * ? {{ }}."


def test_a_path_with_other_odd_characters(tmp_path: Path, start: Start) -> None:
    """Quotes, spaces, brackets and what means something in URLs, SQL or a shell."""
    collector = start(tmp_path / 'it\'s "a" [red]b[/red] #%20;&$(x)\\ü')
    _send(collector.http, body(span(CALL)), body(span({**CALL, "deep": {"a": [1]}})))
    collector.flush()
    assert collector.query("SELECT count() AS n FROM llm_calls") == [{"n": 2}]
    assert collector.stop() == 0


def test_a_setting_that_cannot_be(tmp_path: Path) -> None:
    """By its name."""
    assert _complaint(tmp_path, http_port=70_000) == "http_port is 70000; a port is a number from 0 to 65535."
    assert _complaint(tmp_path, log_bytes=0) == "log_bytes is 0; it must be more than 0."


def test_an_embedded_store_that_cannot_be_opened(tmp_path: Path) -> None:
    """A sentence, not the engine's stack."""
    (tmp_path / "store").write_text("not a folder")
    assert _complaint(tmp_path) == f"The store's folder {tmp_path}/store cannot be used: File exists."


def test_an_ipv6_address(tmp_path: Path, start: Start) -> None:
    """In brackets wherever it stands in a URL, so that what is said can be used."""
    collector = start(tmp_path, host="::1")
    for url in (collector.grpc, collector.http, collector.api):
        assert url.startswith("http://[::1]:")
    _send(collector.http, body(span(CALL)))
    collector.flush()
    assert collector.query("SELECT count() AS n FROM llm_calls") == [{"n": 1}]
    assert collector.stop() == 0


def test_alive_ready_and_status(tmp_path: Path, start: Start) -> None:
    """Where it listens is in the data folder, for those who look for it."""
    collector = start(tmp_path)
    assert get(collector.api + "/livez") == (200, b"ok\n")
    assert get(collector.api + "/readyz") == (200, b"ok\n")
    found = json.loads((tmp_path / "collector.json").read_text())
    assert found["pid"] == collector.pid
    assert found["http"] == collector.http
    _send(collector.http, body(span(), span()))
    collector.flush()
    status = collector.status()
    assert {name: status[name] for name in found} == found
    assert status["data"] == str(tmp_path)
    expected = {
        "accepted": 2, "accepted_requests": 1, "inserted": 2, "inserted_segments": 1, "rejected": 0, "clamped": 0,
        "refused_requests": {}, "duplicate_requests": 0, "rewritten_segments": 0, "split_segments": 0,
        "failed_inserts": 0, "replayed_segments": 0, "quarantined": 0, "torn_bytes": 0, "segments_waiting": 0,
    }  # fmt: skip
    traces = status["signals"]["traces"]
    assert {name: traces[name] for name in expected} == expected
    assert traces["doors"]["http"].pop("bytes") > 0
    assert traces["doors"]["http"] == {"requests": 1, "items": 2}
    assert traces["inserts"]["count"] == 1
    assert status["syncs"]["count"] == 1
    assert status["storage"]["reachable"]
    assert status["process"]["rss_bytes"] > 0
    assert (status["bytes_waiting"], status["oldest_age_s"], status["problems"]) == (0, 0, [])
    collector.stop()


def test_in_this_process(tmp_path: Path, start: Start) -> None:
    """As a context manager, on free ports; what is wrong is raised."""
    settings = Settings(data=tmp_path, grpc_port=0, http_port=0, api_port=0, jaeger_port=0)
    with Collector(settings) as collector:
        assert collector.running is not None
        _send(collector.running.http, body(span(CALL)))
        with Reader.open(tmp_path) as reader:
            reader.flush()
            assert reader.query("SELECT count() AS n FROM llm_calls") == [{"n": 1}]
        with pytest.raises(Locked):
            Collector(settings).start()
    with Reader.open(tmp_path) as reader:
        assert reader.query("SELECT count() AS n FROM llm_calls") == [{"n": 1}]


def test_reading_where_there_is_nothing(tmp_path: Path) -> None:
    """Says how there would be something."""
    with pytest.raises(CollectorError, match=f"There is no data in {tmp_path}; `otel-llm up` or `otel-llm demo`"):
        Reader.open(tmp_path)


def test_reading_while_another_reads(tmp_path: Path, start: Start) -> None:
    """The embedded store has one process at a time, and says which."""
    start(tmp_path).stop()
    with Reader.open(tmp_path), pytest.raises(CollectorError, match=f"Process {os.getpid()} already uses"):
        Reader.open(tmp_path)


def test_asking_a_collector_that_has_just_gone(tmp_path: Path, start: Start) -> None:
    """A sentence with the address."""
    collector = start(tmp_path)
    with Reader.open(tmp_path) as reader:
        collector.stop()
        with pytest.raises(CollectorError, match=f"The collector at {collector.api} does not answer"):
            reader.query("SELECT 1")


def test_times_are_utc_wherever_the_collector_runs(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine takes the machine's time zone for its own; answers do not."""
    monkeypatch.setenv("TZ", "America/St_Johns")
    collector = start(tmp_path)
    _send(collector.http, body(span(CALL)))
    collector.flush()
    assert collector.query(
        "SELECT toString(Timestamp) AS t, toString(start_time) AS s, toString(hour) AS h "
        "FROM otel_traces, llm_calls, llm_calls_hourly"
    ) == [{"t": utc(START), "s": utc(START), "h": f"{utc(START)[:14]}00:00"}]
    collector.stop()


@pytest.mark.parametrize(
    "said",
    ["", "null", "[]", "{}", "\"x\"", "\xff", {"pid": 10**30}, {"pid": 0}, {"api": None}, {"api": "http://[::1"},
     {"api": "http://host:port"}, {"api": "http://a b"}, {"api": ""}, {"api": "http://127.0.0.1:1"}],
)  # fmt: skip
def test_a_file_that_says_nonsense_is_no_collector(tmp_path: Path, said: str | dict[str, Any]) -> None:
    """Whatever is in it."""
    whole = {"pid": os.getpid(), "version": "1", "started": "", "grpc": "", "http": "", "api": "", "store": ""}
    text = said if isinstance(said, str) else json.dumps(whole | said)
    (tmp_path / "collector.json").write_text(text, encoding="latin-1")
    assert Running.find(tmp_path) is None


def test_another_collector_on_the_port_of_one_that_was_killed(tmp_path: Path, start: Start) -> None:
    """Answers for its own folder only, though its number may be the same, as in containers."""
    first = start(tmp_path / "first")
    other = start(tmp_path / "other")
    file = tmp_path / "first" / "collector.json"
    said = json.loads(file.read_text())
    first.kill()
    file.write_text(json.dumps({**said, "api": other.api, "pid": other.pid}))
    assert Running.find(tmp_path / "first") is None
    found = Running.find(tmp_path / "other")
    assert found is not None
    assert found.pid == other.pid


def test_a_pid_that_is_another_s_by_now(tmp_path: Path, start: Start) -> None:
    """The file of a collector that was killed names a process that lives, but not as a collector."""
    collector = start(tmp_path)
    collector.kill()
    said = json.loads((tmp_path / "collector.json").read_text())
    (tmp_path / "collector.json").write_text(json.dumps({**said, "pid": os.getpid()}))
    with Reader.open(tmp_path) as reader:
        assert reader.running is None
        assert reader.query("SELECT 1 AS a") == [{"a": 1}]
