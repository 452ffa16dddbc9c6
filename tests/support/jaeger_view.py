"""What Jaeger's HTTP APIs show, in an order that does not depend on its storage."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from .jaeger import Answer


def ordered(answer: Answer) -> Answer:
    """An answer whose list has no order: services, operations, dependencies, traces."""
    code, said = answer
    if not isinstance(said, dict):
        return answer
    return code, {name: _sorted(value) if isinstance(value, list) else value for name, value in said.items()}


def spans(answer: Answer) -> tuple[int, Any]:
    """The spans of an answer of ``/api/traces``, by trace, each with its process."""
    code, said = answer
    if code != 200:
        return answer
    return code, {
        trace["traceID"]: _sorted(
            {**span, "processID": None, "process": trace["processes"][span["processID"]]} for span in trace["spans"]
        )
        for trace in said["data"]
    }


def spans_v3(answer: Answer) -> tuple[int, Any]:
    """The spans of an answer of ``/api/v3/traces``, each with its resource and scope, as OTLP/JSON."""
    code, said = answer
    if code != 200:
        return answer
    return code, _sorted(
        {"resource": resource["resource"], "scope": scope["scope"], "span": span}
        for resource in said["result"]["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    )


def traces_v3(answer: Answer) -> tuple[int, Any]:
    """The ids of the traces in an answer of ``/api/v3/traces``, which is 404 where none is found."""
    code, found = spans_v3(answer)
    return code, {one["span"]["traceId"] for one in found} if code == 200 else found


def _sorted(items: Iterable[Any]) -> list[Any]:
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
