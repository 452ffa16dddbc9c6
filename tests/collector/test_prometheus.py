"""``GET /metrics``, read as Prometheus reads it."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from otel_llm_collector.errors import CollectorError
from otel_llm_collector.measures.metric_families import FAMILIES, PREFIX
from tests.collector.conftest import Start
from tests.support.collector import Handle, get, send
from tests.support.otlp import body, span

ROOT = Path(__file__).parents[2]
CALL = {"gen_ai.operation.name": "chat"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
WAIT_S = 60
CONFIGURATION = """
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: otel-llm
    static_configs:
      - targets: ["{target}"]
"""

LISTENS = re.compile(r'msg="Listening on" address=(\S+)')

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _text(collector: Handle) -> str:
    code, text = get(collector.api + "/metrics")
    assert code == 200
    return text.decode()


def _series(collector: Handle) -> Series:
    """Every sample, by its name and labels."""
    return {
        (sample.name.removeprefix(PREFIX), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(_text(collector))
        for sample in family.samples
    }


def _grown(before: Series, after: Series, name: str, **labels: str) -> float:
    key = name, frozenset(labels.items())
    return after[key] - before[key]


def _when(collector: Handle, name: str, **labels: str) -> Series:
    """All samples, once the one of that name is not 0."""
    deadline = time.monotonic() + WAIT_S
    while not (found := _series(collector))[name, frozenset(labels.items())]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def _export(collector: Handle, sent: bytes, headers: dict[str, str] = PROTOBUF) -> int:
    return send("POST", f"{collector.http}/v1/traces", sent, headers)[0]


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; Debian has it in the package prometheus")
    return found


def test_every_metric_is_there_as_its_family_says(collector: Handle) -> None:
    """With its type and its help; in Prometheus' own format and, asked for, in OpenMetrics."""
    families = {family.name: family for family in text_string_to_metric_families(_text(collector))}
    for name, family in FAMILIES.items():
        found = families[PREFIX + name]
        assert (found.type, found.documentation) == (family.kind, family.help)
        assert all(set(family.labels) <= sample.labels.keys() for sample in found.samples)
    for name in ("process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds", "python_gc_collections"):
        assert families[name].samples
    (build,) = families[f"{PREFIX}build_info"].samples
    assert build.labels["store"] == "embedded"
    _, headers, text = send("GET", collector.api + "/metrics", b"", {"Accept": OPENMETRICS})
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert {PREFIX + name for name in FAMILIES} <= {family.name for family in openmetrics_families(text.decode())}


def test_names_are_as_prometheus_wants_them() -> None:
    """Counters end in _total, durations are in seconds and sizes in bytes, and every name says so."""
    for name, family in FAMILIES.items():
        shown = family.shown(name)
        assert shown.endswith("_total") == (family.kind == "counter")
        assert (family.kind == "histogram") == shown.endswith("_duration_seconds")
        assert family.help.endswith(".")
        assert not {"le", "quantile", "job", "instance"}.intersection(family.labels)


def test_the_page_is_current() -> None:
    """What ``docs/prometheus.md`` says is what the code says."""
    page = runpy.run_path(str(ROOT / "tools" / "prometheus.py"))["page"]()
    assert (ROOT / "docs" / "prometheus.md").read_text() == page


def test_what_comes_in_is_counted(collector: Handle) -> None:
    """By signal and door, and what is not taken by its reason."""
    before = _series(collector)
    sent = body(span(CALL), span(CALL))
    assert _export(collector, sent) == 200
    assert _export(collector, sent) == 200
    assert _export(collector, body(span(), span(trace_id=b"short"))) == 200
    assert _export(collector, b'{"resourceSpans": []}', JSON) == 200
    assert _export(collector, b'{"resourceSpans": 5}', JSON) == 400
    assert _export(collector, b"\x0a\xff", PROTOBUF) == 400
    assert _export(collector, b"", {"Content-Type": "text/plain"}) == 415
    assert _export(collector, b"", {**PROTOBUF, "Content-Encoding": "br"}) == 415
    collector.flush()
    after = _series(collector)
    traces = {"signal": "traces"}
    assert _grown(before, after, "accepted_requests_total", door="http", **traces) == 2
    assert _grown(before, after, "accepted_items_total", door="http", **traces) == 3
    assert _grown(before, after, "accepted_bytes_total", door="http", **traces) > len(sent)
    assert _grown(before, after, "accepted_requests_total", door="json", **traces) == 0
    assert _grown(before, after, "duplicate_requests_total", **traces) == 1
    assert _grown(before, after, "rejected_items_total", **traces) == 1
    assert _grown(before, after, "refused_requests_total", reason="malformed", **traces) == 2
    assert _grown(before, after, "refused_requests_total", reason="content_type", **traces) == 1
    assert _grown(before, after, "refused_requests_total", reason="encoding", **traces) == 1
    assert _grown(before, after, "stored_items_total", **traces) == 3
    assert _grown(before, after, "insert_duration_seconds_count", **traces) >= 1
    assert _grown(before, after, "fsync_duration_seconds_count") >= 2
    assert _grown(before, after, "fsync_duration_seconds_sum") > 0
    assert after["log_bytes", frozenset()] == 0
    assert after["ready", frozenset()] == after["store_up", frozenset()] == after["log_writable", frozenset()] == 1


def test_buckets_add_up(collector: Handle) -> None:
    """Each holds those below it too, and the last is the count."""
    assert _export(collector, body(span(CALL))) == 200
    collector.flush()
    for family in text_string_to_metric_families(_text(collector)):
        if family.type != "histogram":
            continue
        counts: dict[tuple[Any, ...], list[float]] = {}
        for sample in family.samples:
            labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
            if sample.name.endswith("_bucket"):
                counts.setdefault(labels, []).append(sample.value)
            elif sample.name.endswith("_count"):
                assert counts[labels] == sorted(counts[labels])
                assert counts[labels][-1] == sample.value


def test_questions_are_counted(collector: Handle) -> None:
    """By what became of them."""
    before = _series(collector)
    collector.query("SELECT 1")
    with pytest.raises(CollectorError):
        collector.query("SELECT * FROM file('x')")
    with pytest.raises(CollectorError):
        collector.query("SELECT nosuch FROM otel_traces")
    after = _series(collector)
    assert _grown(before, after, "queries_total", outcome="answered") == 1
    assert _grown(before, after, "queries_total", outcome="refused") == 1
    assert _grown(before, after, "queries_total", outcome="failed") == 1
    assert _grown(before, after, "query_duration_seconds_count") == 3


def test_names_that_senders_choose_make_no_series(collector: Handle) -> None:
    """A thousand models, users, services, spans and paths: as many series as before."""
    before = _series(collector)
    for number in range(10):
        spans = [
            span({**CALL, "gen_ai.request.model": f"m{number}-{n}", "user.id": f"u{number}-{n}"}, name=f"s{number}-{n}")
            for n in range(100)
        ]
        assert _export(collector, b"".join(body(one, service=f"{one.name} service") for one in spans)) == 200
        assert get(f"{collector.http}/v1/traces/{number}")[0] == 404
        assert get(f"{collector.api}/?query=SELECT+{number}&param_x={number}")[0] == 200
    collector.flush()
    after = _series(collector)
    assert _grown(before, after, "stored_items_total", signal="traces") == 1000
    assert after.keys() == before.keys()
    assert len(after) < 500


def test_a_store_that_is_away_is_seen(tmp_path: Path, start: Start) -> None:
    """By what waits, how old it is, and that nothing goes on."""
    collector = start(tmp_path, store="clickhouse://127.0.0.1:9/otel")
    assert _export(collector, body(span(CALL))) == 200
    found = _when(collector, "failed_inserts_total", signal="traces")
    assert found["ready", frozenset()] == found["store_up", frozenset()] == 0
    assert found["log_bytes", frozenset()] > 0
    assert found["oldest_record_age_seconds", frozenset()] > 0
    assert found["waiting_segments", frozenset({("signal", "traces")})] == 1
    collector.kill()


def test_an_endpoint_that_is_down_is_seen_and_no_reason_not_to_be_ready(tmp_path: Path, start: Start) -> None:
    """What is accepted is stored all the same."""
    collector = start(tmp_path, forward=[{"url": "http://127.0.0.1:9", "signals": ["traces"]}])
    ((_, labels),) = (key for key in _series(collector) if key[0] == "forward_up")
    assert _export(collector, body(span(CALL))) == 200
    found = _when(collector, "forward_failures_total", **dict(labels))
    assert found["forward_up", labels] == 0
    assert found["forward_waiting_segments", labels] == 1
    assert found["forward_oldest_record_age_seconds", labels] > 0
    assert found["ready", frozenset()] == 1
    assert get(collector.api + "/readyz") == (200, b"ok\n")
    collector.kill()


def test_promtool_finds_nothing_to_complain_about(collector: Handle) -> None:
    checked = subprocess.run(
        [_tool("promtool"), "check", "metrics"], input=_text(collector), capture_output=True, text=True, timeout=60
    )
    complaints = [line for line in checked.stderr.splitlines() if line.startswith(PREFIX)]
    assert complaints == []
    assert checked.returncode == 0, checked.stderr


def test_a_real_prometheus_scrapes_it(tmp_path: Path, collector: Handle) -> None:
    """And answers from what it has read."""
    program, promtool = _tool("prometheus"), _tool("promtool")
    (tmp_path / "prometheus.yml").write_text(CONFIGURATION.format(target=collector.api.removeprefix("http://")))
    arguments = [
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/tsdb",
        "--web.listen-address=127.0.0.1:0",
    ]
    process = subprocess.Popen([program, *arguments], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        where = next(found[1] for line in process.stderr if (found := LISTENS.search(line)))
        deadline = time.monotonic() + WAIT_S
        asked = [promtool, "query", "instant", f"http://{where}", f"{PREFIX}store_up"]
        while "=> 1 @" not in (answer := subprocess.run(asked, capture_output=True, text=True)).stdout:
            assert time.monotonic() < deadline, answer
            time.sleep(0.2)
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_S)
