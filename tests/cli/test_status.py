"""The status screen: what it shows of a collector, live, once and as JSON."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from otel_llm_collector.app import Collector
from otel_llm_collector.cli.screen import Screen, duration, number, seconds, size
from otel_llm_collector.settings import Settings
from tests.support.collector import send
from tests.support.command import clean, otel_llm, sentence
from tests.support.otlp import body, span

WAIT_S = 60
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def _status(seconds_: float, **more: Any) -> dict[str, Any]:
    """What a collector under load says after so many seconds."""

    def signal_(speed: int) -> dict[str, Any]:
        accepted = round(1_000_000 + speed * seconds_) if speed else 0
        return {
            "accepted": accepted, "inserted": accepted, "segments_waiting": 2 if speed else 0,
            "duplicate_requests": 3 if speed else 0, "rejected": 0,
            "refused_requests": {"full": 1200, "slow": 34} if speed > 1000 else {},
            "inserts": {"count": seconds_ * 2 if speed else 0, "seconds": seconds_ * 0.19},
        }  # fmt: skip

    return {
        "pid": 4711, "version": "0.1.0", "data": "/var/lib/otel-llm", "store": "chdb:///var/lib/otel-llm/store",
        "signals": {"traces": signal_(61234), "logs": signal_(0), "metrics": signal_(12)},
        "bytes_waiting": 300 << 20, "log_bytes": 2 << 30, "oldest_age_s": 0.43,
        "syncs": {"count": 58 * seconds_, "seconds": 58 * seconds_ * 0.0008},
        "storage": {"reachable": True, "problem": "", "schema_version": 9, "bytes": 1288490188, "rows": 12345678},
        "disk": {"size": 252 << 30, "free": 74 << 30},
        "process": {"uptime_s": 11520.5, "cpu_s": seconds_ * 0.9, "rss_bytes": 391 << 20},
        "forwarding": [], "problems": [], "warnings": [], **more,
    }  # fmt: skip


def _shown(*answers: dict[str, Any], width: int = 80) -> list[str]:
    screen = Screen()
    for at, answer in enumerate(answers):
        screen.add(answer, at)
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(screen)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_busy_collector_on_eighty_columns() -> None:
    """Every number in its place, and no line longer than the terminal."""
    assert _shown(_status(10), _status(11)) == [
        "otel-llm 0.1.0  ready  up 3 h 12 min, process 4711  /var/lib/otel-llm",
        "",
        "             in/s  stored/s  accepted  waiting   resent  rejected  refused",
        "traces     61,234    61,234    1.67 M        2        3         0    1,234",
        "logs            0         0         0        0        0         0        0",
        "metrics        12        12    1.00 M        2        3         0        0",
        "",
        "log       ███░░░░░░░░░░░░░░░░░  300 MiB of 2.0 GiB  oldest record 430 ms",
        "fsync     0.8 ms, 58 a second",
        "inserts   traces 95 ms · logs – · metrics 95 ms",
        "store     embedded, 1.2 GiB, 12.35 M rows, schema 9",
        "disk      74.0 GiB free of 252.0 GiB",
        "process   391 MiB of memory, 90% of a core",
    ]


def test_the_first_frame_has_no_rates() -> None:
    """They need two."""
    lines = _shown(_status(10))
    assert lines[3].split() == ["traces", "–", "–", "1.61", "M", "2", "3", "0", "1,234"]
    assert lines[8] == "fsync     0.8 ms, – a second"


def test_what_is_wrong_is_said_in_sentences() -> None:
    """A store that is away, an endpoint that is down, a disk that is nearly full; control characters are not obeyed."""
    away = {"reachable": False, "problem": "gone", "schema_version": 0, "bytes": 0, "rows": 0}
    forward = {
        "url": "grpc://jaeger:4317", "items": 5, "segments_waiting": 1200, "given_up": {"backlog": 5},
        "last_error": "It does not \x1b[31manswer.",
    }  # fmt: skip
    lines = _shown(
        _status(
            10,
            storage=away,
            store="clickhouse://default:***@db:8123/otel",
            forwarding=[forward],
            problems=["ClickHouse at db cannot be reached."],
            warnings=["Only 300 MiB are free."],
        )
    )
    assert lines[0].startswith("otel-llm 0.1.0  not ready ")
    assert lines[10] == "store     clickhouse://default:***@db:8123/otel  not reachable"
    assert lines[-8:] == [
        "forward   grpc://jaeger:4317  –/s, 1,200 segments wait, 5 items given up",
        "          It does not �[31manswer.",
        "",
        "Problems",
        "  ClickHouse at db cannot be reached.",
        "",
        "Warnings",
        "  Only 300 MiB are free.",
    ]


def test_numbers_are_short() -> None:
    assert [number(count) for count in (0, 999_999, 1_000_000, 123_456_789, 12_345_678_901)] == [
        "0", "999,999", "1.00 M", "123 M", "12.35 G",
    ]  # fmt: skip
    assert [size(count) for count in (0, 1023, 1024, 5 << 20, 3 << 30, 1 << 50)] == [
        "0 B", "1023 B", "1 KiB", "5 MiB", "3.0 GiB", "1024.0 TiB",
    ]  # fmt: skip
    assert [duration(value) for value in (0.5, 61, 3600, 90000)] == ["0 s", "1 min 1 s", "1 h 0 min", "1 d 1 h"]
    assert [seconds(value) for value in (0.0008, 0.095, 2.5, 61)] == ["0.8 ms", "95 ms", "2.5 s", "1 min 1 s"]


def test_where_no_collector_runs_it_says_how_to_start_one(tmp_path: Path) -> None:
    assert sentence(otel_llm("status", "--data", str(tmp_path))) == (
        f"No collector runs on {tmp_path}; start one with: otel-llm up --data {tmp_path}"
    )


def test_a_collector_that_runs(tmp_path: Path) -> None:
    """Once, as JSON, and live on a terminal until Ctrl-C, where each second brings a new frame."""
    settings = Settings(data=tmp_path, grpc_port=0, http_port=0, api_port=0, jaeger_port=0)
    with Collector(settings) as collector:
        assert collector.running is not None
        sent = body(*(span({"gen_ai.operation.name": "chat"}) for _ in range(7)))
        headers = {"Content-Type": "application/x-protobuf"}
        assert send("POST", f"{collector.running.http}/v1/traces", sent, headers)[0] == 200
        once = otel_llm("status", "--once", "--data", str(tmp_path))
        assert once.returncode == 0
        first, *lines = once.stdout.splitlines()
        assert first.startswith(f"otel-llm {collector.running.version}  ready  up ")
        assert next(line for line in lines if line.startswith("traces")).split()[3] == "7"
        said = json.loads(otel_llm("status", "--json", "--data", str(tmp_path)).stdout)
        assert said["signals"]["traces"]["accepted"] == 7
        _check_live(tmp_path)


def _check_live(data: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "otel_llm_collector", "status", "--data", str(data)],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=clean({"TERM": "xterm"}),
    )  # fmt: skip
    os.close(theirs)
    shown, deadline = "", time.monotonic() + WAIT_S
    while shown.count("accepted") < 3:
        assert time.monotonic() < deadline, shown
        shown += os.read(ours, 65536).decode(errors="replace")
    process.send_signal(signal.SIGINT)
    impatient = threading.Timer(WAIT_S, process.kill)
    impatient.start()
    while True:
        try:
            shown += os.read(ours, 65536).decode(errors="replace")
        except OSError:  # the terminal is gone with its last user
            break
    impatient.cancel()
    os.close(ours)
    assert process.wait(WAIT_S) == 0
    assert "Traceback" not in shown
    assert "\x1b[?25h" in shown, "the cursor is there again"
    assert all(len(line) <= 80 for line in CONTROL.sub("", shown).replace("\r", "\n").splitlines())
