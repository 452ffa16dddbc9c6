"""``otel-llm up`` and ``otel-llm sql``, as they are run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_llm_collector.running import Running
from tests.collector.conftest import Start
from tests.support.collector import send
from tests.support.otlp import body, span

ROOT = Path(__file__).parents[2]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "otel_llm_collector", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def _complaint(*arguments: str) -> str:
    done = _run(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """The data folder of a collector that runs, and what it said when it started."""
    data = tmp_path_factory.mktemp("up")
    ports = ["--grpc-port", "0", "--http-port", "0", "--api-port", "0", "--jaeger-port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "otel_llm_collector", "up", "--data", str(data), *ports],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield data, [process.stdout.readline().rstrip() for _ in range(8)]
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "Everything accepted is stored.\n"
    assert process.returncode == 0


def test_up_says_where_it_listens_and_where_to_look(up: tuple[Path, list[str]]) -> None:
    """One line each, whole, whatever the terminal's width."""
    data, said = up
    running = Running.find(data)
    assert running is not None
    assert said == [
        f"otel-llm {running.version} collects (pid {running.pid}); Ctrl-C stops it.",
        f"  OTLP/gRPC  {running.grpc}",
        f"  OTLP/HTTP  {running.http}",
        f"  API, SQL   {running.api}",
        f"  For Jaeger {running.jaeger}",
        f"  Store      chdb://{data}/store",
        f"  Look       otel-llm calls --data {data}",
        f"  Ask        otel-llm sql --data {data} 'SHOW TABLES'",
    ]


def test_a_second_up_is_refused(up: tuple[Path, list[str]]) -> None:
    """With the process that has the folder."""
    assert _complaint("up", "--data", str(up[0]), "--api-port", "0").startswith("Process ")


def test_sql_through_the_collector(up: tuple[Path, list[str]]) -> None:
    """In a table, or in the format that is asked for."""
    data = str(up[0])
    question = "SELECT 1 AS a, 'x' AS b, [1, 2] AS c, NULL AS d"
    table = _run("sql", question, "--data", data).stdout
    assert table.splitlines()[1].replace("┃", " ").split() == ["a", "b", "c", "d"]
    assert table.splitlines()[3].replace("│", " ").split() == ["1", "x", "[1,", "2]", "NULL"]
    assert json.loads(_run("sql", question, "--data", data, "--format", "json").stdout)["data"] == [
        {"a": 1, "b": "x", "c": [1, 2], "d": None}
    ]
    assert _run("sql", question, "--data", data, "--format", "csv").stdout == '"a","b","c","d"\n1,"x","[1,2]",\\N\n'
    assert _run("sql", question, "--data", data, "--format", "tsv").stdout == "a\tb\tc\td\n1\tx\t[1,2]\t\\N\n"
    assert _run("sql", question + " FORMAT JSONCompactEachRow", "--data", data).stdout == '[1, "x", [1,2], null]\n'


def test_sql_that_is_refused(up: tuple[Path, list[str]]) -> None:
    """One sentence and exit code 1."""
    data = str(up[0])
    assert _complaint("sql", "SELECT file('/etc/passwd')", "--data", data) == (
        "Function file is not known, or not allowed here."
    )
    assert _complaint("sql", "SELECT 1 INTO OUTFILE '/tmp/x'", "--data", data) == (
        "Only a plain SELECT is allowed here: no INTO OUTFILE, no PARALLEL WITH."
    )
    assert _complaint("sql", "SELEC 1", "--data", data).startswith("Code: 62. DB::Exception: Syntax error")
    assert "formatQuery" not in _complaint("sql", "SELEC 1", "--data", data)


def test_sql_without_a_collector(tmp_path: Path, start: Start) -> None:
    """Of a store that no process holds, and of none."""
    collector = start(tmp_path / "data")
    assert (
        send("POST", f"{collector.http}/v1/traces", body(span()), {"Content-Type": "application/x-protobuf"})[0] == 200
    )
    collector.stop()
    done = _run("sql", "SELECT count() FROM otel_traces", "--data", str(tmp_path / "data"), "--format", "tsv")
    assert done.stdout == "count()\n1\n"
    assert _complaint("sql", "SELECT 1", "--data", str(tmp_path / "none")) == (
        f"There is no data in {tmp_path}/none; `otel-llm up` or `otel-llm demo` makes some."
    )
