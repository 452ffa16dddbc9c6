"""Jaeger shows what a collector stores as it shows what it keeps in memory: span for span, search for search.

Not compared, because Jaeger's memory is no measure of it: which traces are found where more match than were asked for
(memory gives those that came last, a store those that began last), and the search words ``error``, ``span.kind``,
``span.status``, ``scope.name`` and ``resource.…``, which this version looks for in attributes, and in status "Ok" where
an error is asked for. A resource's schema URL is not kept in memory. A search that ends before it begins finds nothing
there, and is refused here (``test_limits.py``).
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from tests.support.collector import Handle
from tests.support.jaeger_pair import Pair
from tests.support.jaeger_view import ordered, spans, spans_v3, traces_v3
from tests.support.random_traces import FINDABLE, OPERATIONS, SERVICES, Traces

SEED = 20260828
SEARCHES = 100
MANY = 1000
"""More than there are: what is found does not depend on the order then."""
DAYS_MS = 3 * 86_400_000


class Sent:
    """The spans that were sent, each with its resource."""

    def __init__(self, requests: list[ExportTraceServiceRequest]) -> None:
        self.spans: list[tuple[ResourceSpans, Span]] = [
            (resource, span)
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        self.traces = sorted({span.trace_id.hex() for _, span in self.spans})


@pytest.fixture(scope="module")
def sent(pair: Pair, collector: Handle) -> Sent:
    """Random traces, sent to both."""
    clean, other = Traces(SEED, time.time_ns()), Traces(SEED + 1, time.time_ns(), clean=False)
    direct = [clean.request(5) for _ in range(16)]
    through = [other.request(5) for _ in range(4)]
    for request in direct:
        pair.send(request)
    for request in through:
        pair.send(request, through=True)
    collector.flush()
    return Sent(direct + through)


def test_every_trace_span_for_span(pair: Pair, sent: Sent) -> None:
    """Raw, in the old and the new API."""
    for trace in sent.traces:
        code, shown = pair.agree(spans, f"/api/traces/{trace}", raw="true")
        assert code == 200
        assert shown[trace]
        code, shown = pair.agree(spans_v3, f"/api/v3/traces/{trace}", raw_traces="true")
        assert code == 200
        assert len(shown) == sum(span.trace_id.hex() == trace for _, span in sent.spans)


def test_traces_as_they_are_shown(pair: Pair, sent: Sent) -> None:
    """Not raw: with what Jaeger does to a trace before it shows it."""
    for trace in sent.traces[::5]:
        assert pair.agree(spans, f"/api/traces/{trace}")[0] == 200


def test_services_and_operations(pair: Pair, sent: Sent) -> None:
    for path in ("/api/services", "/api/v3/services"):
        assert pair.agree(ordered, path)[0] == 200
    for service in (*SERVICES, "missing-service-name", "nobody"):
        pair.agree(ordered, "/api/operations", service=service)
        pair.agree(ordered, f"/api/services/{quote(service)}/operations")
        for kind in ("", "server", "client", "producer", "consumer", "internal"):
            pair.agree(ordered, "/api/v3/operations", service=service, span_kind=kind)
            pair.agree(ordered, "/api/operations", service=service, spanKind=kind)


def test_dependencies(pair: Pair, sent: Sent) -> None:
    now = int(time.time() * 1000)
    _, shown = pair.agree(ordered, "/api/dependencies", endTs=now, lookback=DAYS_MS)
    assert len(shown["data"]) > len(SERVICES)
    assert pair.agree(ordered, "/api/dependencies", endTs=now - DAYS_MS, lookback=1000)[1]["data"] == []
    pair.agree(ordered, "/api/dependencies", endTs=now, lookback=DAYS_MS, service="web")


def test_a_trace_that_is_not_there(pair: Pair, sent: Sent) -> None:
    assert pair.agree(ordered, f"/api/traces/{'ab' * 16}")[0] == 404
    assert pair.agree(ordered, f"/api/v3/traces/{'ab' * 16}")[0] == 404


def test_random_searches(pair: Pair, sent: Sent) -> None:
    """By service, and any of operation, attributes, duration and time."""
    chance = random.Random(SEED)
    hits = 0
    for search in _searches(chance, sent):
        code, shown = pair.agree(spans, "/api/traces", raw="true", limit=MANY, **search)
        assert code == 200, (search, shown)
        hits += bool(shown)
    assert hits > SEARCHES / 2


def test_random_searches_v3(pair: Pair, sent: Sent) -> None:
    """The new API has nanoseconds, and no attributes; what it finds together may be from several traces."""
    chance = random.Random(SEED + 1)
    hits = 0
    for _ in range(SEARCHES // 3):
        resource, span = chance.choice(sent.spans)
        began, length = span.start_time_unix_nano, span.end_time_unix_nano - span.start_time_unix_nano
        first, last = sorted(began + chance.choice((-(10**12), -1, 0, 1, 10**12)) for _ in range(2))
        shortest, longest = sorted(length + chance.choice((-1, 0, 1, 10**9)) for _ in range(2))
        asked: dict[str, Any] = {
            "query.service_name": chance.choice((_service(resource), chance.choice(SERVICES), "")),
            "query.operation_name": chance.choice((span.name, "")),
            "query.start_time_min": _rfc3339(first),
            "query.start_time_max": _rfc3339(last),
            "query.duration_min": f"{shortest}ns",
            "query.duration_max": f"{longest}ns",
            "query.num_traces": MANY,
            "query.raw_traces": "true",
        }
        code, _ = pair.agree(traces_v3, "/api/v3/traces", **asked)
        assert code in (200, 404)
        hits += code == 200
    assert hits > SEARCHES / 20


def _searches(chance: random.Random, sent: Sent) -> Iterator[dict[str, Any]]:
    """Parameters of searches near what some span is, so that most find something."""
    for _ in range(SEARCHES):
        resource, span = chance.choice(sent.spans)
        began, length = span.start_time_unix_nano, span.end_time_unix_nano - span.start_time_unix_nano
        service = _service(resource) if chance.random() < 0.9 else chance.choice(SERVICES)
        search: dict[str, Any] = {"service": service, "start": 0}
        if chance.random() < 0.4:
            search["operation"] = span.name if chance.random() < 0.8 else chance.choice(OPERATIONS)
        if chance.random() < 0.5:
            search["tags"] = dict(_tag(chance, resource, span) for _ in range(chance.randrange(1, 3)))
        if chance.random() < 0.3:
            search["minDuration"] = f"{max(1, length + chance.choice((-1, 0, 1)))}ns"
        if chance.random() < 0.3:
            search["maxDuration"] = f"{length + chance.choice((1, 2, 10**9))}ns"
        if chance.random() < 0.5:
            search["start"] = began // 1000 + chance.choice((-1, 0, 1, -3_600_000_000))
        if chance.random() < 0.5:
            search["end"] = max(search["start"], began // 1000 + chance.choice((-1, 0, 1, 2, 3_600_000_000)))
        yield search


def _service(resource: ResourceSpans) -> str:
    """The name of a service, or the one that Jaeger gives."""
    named = (one.value.string_value for one in resource.resource.attributes if one.key == "service.name")
    return next(named, "missing-service-name")


def _tag(chance: random.Random, resource: ResourceSpans, span: Span) -> tuple[str, str]:
    """An attribute of the span, its resource or an event of it, as text; or any other."""
    places = [span.attributes, resource.resource.attributes, *(event.attributes for event in span.events)]
    texts = [one for place in places for one in place if one.value.WhichOneof("value") in ("string_value", "int_value")]
    if texts and chance.random() < 0.7:
        one = chance.choice(texts)
        return one.key, one.value.string_value if one.value.HasField("string_value") else str(one.value.int_value)
    key = chance.choice(list(FINDABLE))
    wanted = chance.choice(FINDABLE[key])
    return key, "true" if wanted is True else "false" if wanted is False else _text(wanted)


def _text(wanted: Any) -> str:
    """A value as Jaeger writes it in a search."""
    match wanted:
        case bytes():
            return {b"\x00\xff": "AP8=", b"": ""}[wanted]
        case float():
            return f"{wanted:g}"
        case list() if wanted and isinstance(wanted[0], list):
            return '[["a"],{"k":"dg=="}]'
        case list():
            return str(wanted).replace("'", '"').replace(" ", "")
        case dict():
            return '{"a":{"b":[1,"x"]}}'
    return str(wanted)


def _rfc3339(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"
