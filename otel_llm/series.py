"""One instrument under one set of labels, and the short way to it.

The SDK of OpenTelemetry checks, copies and hashes the labels of every single value, which takes ten times as long as
adding it: 200 chunks of a stream would cost more than all else that is recorded of them. The labels of a series never
change, so it is looked up once where the SDK keeps it, and given its values there. Where the SDK is not as it is known
to be, or anything about the instrument has changed since, values go the public way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from time import time_ns
from typing import Any

from opentelemetry.context import Context

Labels = Mapping[str, Any]


class _Measured:
    """What the SDK's aggregations take for a measurement."""

    __slots__ = ("attributes", "context", "time_unix_nano", "value")

    def __init__(self, value: float, labels: Labels, context: Context) -> None:
        self.value = value
        self.time_unix_nano = time_ns()
        self.attributes = labels
        self.context = context


class Series:
    """Values of an instrument under the same labels, which are not to be changed."""

    __slots__ = ("_aggregations", "_instrument", "_labels", "_record", "_storages")

    def __init__(self, instrument: Any, record: Callable[..., None], labels: Labels) -> None:
        self._instrument = instrument
        self._record = record
        self._labels = labels
        self._storages: Any = None
        self._aggregations: list[Any] = []

    def add(self, value: float, context: Context) -> None:
        """Adds a value; ``context`` has the span that is an example of it, where examples are kept."""
        if self._ready() and 0 <= value < math.inf:
            measured = _Measured(value, self._labels, context)
            wanted = self._wanted(measured)
            for aggregation in self._aggregations:
                aggregation.aggregate(measured, wanted)
        else:
            self._record(value, self._labels, context)
            self._find()

    def add_all(self, values: Iterable[float], context: Context) -> None:
        """Adds many values of one call, of which the largest is the example."""
        rest = sorted(values)
        if not rest:
            return
        self.add(rest.pop(), context)
        if not self._ready() or (rest and rest[0] < 0):
            for value in rest:
                self._record(value, self._labels, context)
            return
        for aggregation in self._aggregations:
            aggregate, measured = aggregation.aggregate, _Measured(0.0, self._labels, context)
            for value in rest:
                measured.value = value
                aggregate(measured, False)

    def _ready(self) -> bool:
        """Whether the series was found, and readers and settings are the same as then."""
        try:
            instrument = self._instrument
            return self._storages is instrument._measurement_consumer._reader_storages and instrument._is_enabled()
        except AttributeError:
            return False

    def _wanted(self, measured: _Measured) -> bool:
        """Whether the value may be an example."""
        chosen: bool = self._instrument._measurement_consumer._sdk_config.exemplar_filter.should_sample(
            measured.value, measured.time_unix_nano, measured.attributes, measured.context
        )
        return chosen

    def _find(self) -> None:
        """Looks for what the SDK has made of the labels; another thread may be in the way, until the next value."""
        try:
            storages = self._instrument._measurement_consumer._reader_storages
            found = [
                _aggregation(match, self._labels)
                for storage in storages.values()
                for match in storage._instrument_view_instrument_matches[self._instrument]
            ]
        except (AttributeError, KeyError, LookupError, RuntimeError):
            return
        self._aggregations, self._storages = found, storages


def _aggregation(match: Any, labels: Labels) -> Any:
    """The aggregation of the labels, or of those that a view keeps; it is among the last that were made."""
    keys = match._view._attribute_keys
    kept = labels if keys is None else {name: value for name, value in labels.items() if name in keys}
    for aggregation in reversed(match._attributes_aggregation.values()):
        if (aggregation._attributes or {}) == kept:
            return aggregation
    raise LookupError
