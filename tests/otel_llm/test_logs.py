"""Log lines as JSON, with the ids of where they were written."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import otel_llm
from otel_llm.plain import CIRCLE
from tests.conftest import Spans


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What the logger ``lines`` writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(otel_llm.logs.JSONFormatter())
    logger = logging.getLogger("lines")
    logger.addHandler(handler)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)
    logger.propagate = True


logger = logging.getLogger("lines")


def one(stream: io.StringIO) -> dict[str, Any]:
    """The only line."""
    (line,) = stream.getvalue().splitlines()
    return dict(json.loads(line))


def test_a_line_leads_to_trace_request_user_and_job(instrumented: Spans, stream: io.StringIO) -> None:
    """All ids, and what ``extra`` has."""
    said = otel_llm.context(
        request_id="r", user_id="u", session_id="s", conversation_id="c", tenant_id="t", task_id="k"
    )
    with said, otel_llm.observe("step") as span:
        logger.warning("sent %d", 3, extra={"batch_id": "b", "duration_ms": 1.5, "of": [1, {"a": None}]})
    line = one(stream)
    identity = span.get_span_context()
    moment = line.pop("timestamp")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()) < 3600
    assert line == {
        "level": "WARNING", "logger": "lines", "message": "sent 3",
        "trace_id": f"{identity.trace_id:032x}", "span_id": f"{identity.span_id:016x}",
        "request_id": "r", "user_id": "u", "session_id": "s", "conversation_id": "c", "tenant_id": "t", "job_id": "k",
        "batch_id": "b", "duration_ms": 1.5, "of": [1, {"a": None}],
    }  # fmt: skip


def test_outside_of_all_there_is_only_the_line(stream: io.StringIO) -> None:
    """No field without a value."""
    logger.error("said")
    assert list(one(stream)) == ["timestamp", "level", "logger", "message"]


def test_the_time_is_that_of_the_record(stream: io.StringIO) -> None:
    """In milliseconds that are cut, not rounded up into another second."""
    record = logging.makeLogRecord({"created": 1.9999, "msecs": 999.9, "msg": "m"})
    assert json.loads(otel_llm.logs.JSONFormatter().format(record))["timestamp"] == "1970-01-01T00:00:01.999Z"


def test_exceptions_and_stacks(stream: io.StringIO) -> None:
    """Each in one field of the same line."""
    try:
        raise ValueError("bad\nluck")
    except ValueError:
        logger.exception("failed", stack_info=True)
    line = one(stream)
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: bad\nluck")
    assert line["stack"].startswith("Stack")


class Odd:
    """What fails when it is looked at."""

    def __str__(self) -> str:
        raise RuntimeError("odd")


def test_odd_values_never_cost_a_line() -> None:
    """Line ends of all kinds, letters that cannot be encoded, values that JSON has not, and names that are taken."""
    circle: list[Any] = []
    circle.append(circle)
    message = "a\r\nb\u2028c\udcff\0é"
    extra = {
        "odd": Odd(), "circle": circle, "nan": float("nan"), "bytes": b"\xff", "keys": {(1, 2): {1}}, "huge": 10**5000,
        "level": "x", "trace_id": "kept", "moment": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    text = otel_llm.logs.JSONFormatter().format(logging.makeLogRecord({"levelname": "INFO", "msg": message, **extra}))
    assert text.isascii()
    assert len(text.splitlines()) == 1
    line = json.loads(text)
    assert line["message"] == message
    assert line["level"] == "INFO"
    assert (line["odd"], line["huge"], line["nan"], line["bytes"]) == (
        "…[Odd: RuntimeError]",
        f"{10**5000:#x}",
        "nan",
        "b'\\xff'",
    )
    assert line["keys"] == {"(1, 2)": [1]}
    assert line["trace_id"] == "kept"
    assert line["moment"] == "2026-01-01 00:00:00+00:00"


def test_ids_of_the_current_span_are_not_overridden(instrumented: Spans, stream: io.StringIO) -> None:
    """By what ``extra`` says, which may come from anywhere."""
    with otel_llm.observe("step") as span:
        logger.warning("m", extra={"trace_id": "forged"})
    assert one(stream)["trace_id"] == f"{span.get_span_context().trace_id:032x}"


def test_what_contains_itself_many_times_is_one_short_line() -> None:
    """And not eight levels of twenty each."""
    web: list[Any] = []
    web.extend([web] * 20)
    record = logging.makeLogRecord({"levelname": "INFO", "msg": "m", "web": web, "created": 1.9999997, "msecs": 999.0})
    line = json.loads(otel_llm.logs.JSONFormatter().format(record))
    assert line["web"] == [CIRCLE] * 20
    assert line["timestamp"] == "1970-01-01T00:00:01.999Z"
