"""A search for traces: Jaeger's query, checked, as conditions of SQL."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from otel_llm_collector import schemas
from otel_llm_collector.errors import Malformed

DEPTH = 100
"""Traces that are looked for where the query does not say how many, as Jaeger's own API does."""
MOST_TRACES = 10_000
_MOST_ATTRIBUTES = 32
_MOST_BYTES = 8192
"""Longest name, key or value in a query, as UTF-8."""
_INDEXED = 2
"""Attributes that are looked for with indexes, which read no more than some thirty comparisons of a statement."""
LAST_NS = 2**63 - 1
"""The last time that the store can hold, in Unix nanoseconds: in the year 2262."""
_SECOND_NS = 10**9
_NEVER_S = -62_135_596_800
"""Unix seconds of the year 1, which is Go's time where there is none."""
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


@dataclass(slots=True)
class Search:
    """The conditions that one span of a trace must meet, and between which times, both included, it must begin."""

    traces: int = DEPTH
    first: int = -(2**63)
    """Unix nanoseconds."""
    last: int = LAST_NS
    conditions: list[str] = field(default_factory=list)
    parameters: dict[str, str | int] = field(default_factory=dict)

    @classmethod
    def of(cls, query: Any) -> Search:
        """From ``TraceQueryParameters``. Raises ``Malformed`` with the field that cannot be meant."""
        search = cls()
        if not 0 <= query.search_depth <= MOST_TRACES:
            raise Malformed(f"search_depth is {query.search_depth}; it must be from 1 to {MOST_TRACES}.")
        search.traces = query.search_depth or DEPTH
        if is_set(query, "start_time_min"):
            search.first = nanoseconds(query.start_time_min, "start_time_min")
        if is_set(query, "start_time_max"):
            search.last = nanoseconds(query.start_time_max, "start_time_max")
            if search.first > search.last:
                raise Malformed("start_time_max is before start_time_min; it must be the same or later.")
        shortest, longest = _duration(query, "duration_min"), _duration(query, "duration_max")
        if longest and shortest > longest:
            raise Malformed("duration_max is less than duration_min; it must be the same or more.")
        if shortest:
            search._add("Duration >= {shortest:UInt64}", shortest=shortest)
        if longest:
            search._add("Duration <= {longest:UInt64}", longest=longest)
        if query.service_name:
            search._add("ServiceName = {service:String}", service=checked(query.service_name, "service_name"))
        if query.operation_name:
            search._add("SpanName = {operation:String}", operation=checked(query.operation_name, "operation_name"))
        search._add_attributes(query.attributes)
        return search

    def _add(self, condition: str, **parameters: str | int) -> None:
        self.conditions.append(condition)
        self.parameters |= parameters

    def _add_attributes(self, attributes: Any) -> None:
        if len(attributes) > _MOST_ATTRIBUTES:
            raise Malformed(f"attributes has {len(attributes)} elements; it may have {_MOST_ATTRIBUTES}.")
        wanted = {}
        for n, attribute in enumerate(attributes):
            key = checked(attribute.key, f"attributes[{n}].key")
            if attribute.key in (before.key for before in attributes[:n]):
                raise Malformed(f"attributes[{n}].key comes twice; an attribute has one value.")
            value = checked(_text(attribute.value), f"attributes[{n}].value")
            if attribute.value.WhichOneof("value") is not None and not self._add_named(key, value):
                wanted[key] = value
        exact = []
        for n, (key, value) in enumerate(sorted(wanted.items(), key=lambda pair: -len(pair[1]))):  # long ones are rare
            if n < _INDEXED:
                self.conditions.append(_numbered("attribute_index", n))
            exact.append(_numbered("attribute", n))
            self.parameters |= {f"key_{n}": key, f"value_{n}": value}
        while len(exact) > 1:
            exact.append(f"bitAnd({exact.pop()}, {exact.pop()})")
        self.conditions += exact

    def _add_named(self, key: str, value: str) -> bool:
        """Whether it is an attribute by which Jaeger means something else of a span."""
        match key:
            case "error" if value in _TRUE:
                self._add("StatusCode = 'Error'")
            case "error" if value in _FALSE:
                self._add("StatusCode != 'Error'")
            case "error":
                self._add("0")
            case "span.status":
                code = value.capitalize() if value.lower() in ("ok", "error") else "Unset"
                self._add("StatusCode = {status:String}", status=code)
            case "span.kind":
                kind = value.lower() if value.lower() in _KINDS else "unspecified"
                self._add("SpanKind = {kind:String}", kind=kind.capitalize())
            case "scope.name":
                self._add("ScopeName = {scope:String}", scope=value)
            case "scope.version":
                self._add("ScopeVersion = {scope_version:String}", scope_version=value)
            case _ if key.startswith("resource."):
                n = len(self.parameters)
                name = f"{{resource_key_{n}:String}}"
                self._add(
                    f"mapContains(ResourceAttributes, {name}) "
                    f"AND ResourceAttributes[{name}] = {{resource_value_{n}:String}}",
                    **{f"resource_key_{n}": key.removeprefix("resource."), f"resource_value_{n}": value},
                )
            case _:
                return False
        return True


def is_set(request: Any, name: str) -> bool:
    """Whether a request says a time."""
    return bool(request.HasField(name)) and getattr(request, name).seconds != _NEVER_S


def nanoseconds(timestamp: Any, name: str) -> int:
    """A ``Timestamp`` in Unix nanoseconds; raises ``Malformed`` where its parts are out of range."""
    if not 0 <= timestamp.nanos < _SECOND_NS:
        raise Malformed(f"{name}.nanos is {timestamp.nanos}; it must be from 0 to 999999999.")
    return int(timestamp.seconds) * _SECOND_NS + int(timestamp.nanos)


def stored(time: int) -> int:
    """The time, or the nearest that the store can hold."""
    return max(0, min(time, LAST_NS))


def checked(text: str, name: str) -> str:
    """The text; raises ``Malformed`` where it is longer than any that can be meant."""
    if len(text) > _MOST_BYTES or len(text.encode()) > _MOST_BYTES:
        raise Malformed(f"{name} is longer than {_MOST_BYTES} bytes.")
    return text


def _duration(query: Any, name: str) -> int:
    """A ``Duration`` in nanoseconds; nought where there is none."""
    duration = getattr(query, name)
    if not -_SECOND_NS < duration.nanos < _SECOND_NS:
        raise Malformed(f"{name}.nanos is {duration.nanos}; it must be less than a second.")
    value = int(duration.seconds) * _SECOND_NS + int(duration.nanos)
    if value < 0:
        raise Malformed(f"{name} is negative; it must be nought or more.")
    return min(value, 2**64 - 1)


def _numbered(file: str, n: int) -> str:
    """The condition of a file, for the nth attribute."""
    lines = schemas.read(f"jaeger/{file}.sql").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    return text.replace("{key:", f"{{key_{n}:").replace("{value:", f"{{value_{n}:")


def _text(value: Any) -> str:
    """A value as the store has it, which is how the OpenTelemetry Collector writes values as text."""
    kind = value.WhichOneof("value")
    if kind == "double_value":
        return _double(value.double_value)
    if kind in ("array_value", "kvlist_value"):
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    plain = _plain(value)
    return json.dumps(plain) if isinstance(plain, bool | int) else plain or ""


def _plain(value: Any) -> Any:
    """A value as JSON has it; bytes as base64."""
    match kind := value.WhichOneof("value"):
        case None:
            return None
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case "array_value":
            return [_plain(element) for element in value.array_value.values]
        case "kvlist_value":
            return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind)


def _double(number: float) -> str:
    """A double as ClickHouse writes it: few have an exponent, which has neither a plus nor leading noughts."""
    if number != number or number in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(number)]
    if number == 0 or 1e-6 <= abs(number) < 1e21:
        return f"{Decimal(repr(number)):f}".removesuffix(".0")
    return repr(number).replace("e+", "e").replace("e-0", "e-")
