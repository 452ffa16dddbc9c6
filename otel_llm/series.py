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


class Moment:
    """What the values of one call share: when it was, its span, and how the SDK of an instrument stands then.

    The SDK's aggregations take it for a measurement. Whether it may be an example is asked once, of ``value``.
    """

    __slots__ = ("attributes", "context", "storages", "time_unix_nano", "value", "wanted")

    def __init__(self, instrument: Any, labels: Labels, value: float, context: Context) -> None:
        self.value = value
        self.time_unix_nano = time_ns()
        self.attributes = labels
        self.context = context
        self.storages: Any = None
        self.wanted = False
        try:
            if instrument._is_enabled():
                consumer = instrument._measurement_consumer
                self.storages = consumer._reader_storages
                self.wanted = consumer._sdk_config.exemplar_filter.should_sample(
                    value, self.time_unix_nano, labels, context
                )
        except AttributeError:  # another SDK
            self.storages = None


class Series:
    """Values of an instrument under the same labels, which are not to be changed."""

    __slots__ = ("_aggregations", "_instrument", "_labels", "_record", "_storages")

    def __init__(self, instrument: Any, record: Callable[..., None], labels: Labels) -> None:
        self._instrument = instrument
        self._record = record
        self._labels = labels
        self._storages: Any = None
        self._aggregations: list[Any] = []

    def now(self, value: float, context: Context) -> Moment:
        """The moment of a call with this value; ``context`` has its span."""
        return Moment(self._instrument, self._labels, value, context)

    def add(self, value: float, moment: Moment) -> None:
        """Adds a value of a call; ``moment`` is of this series, or of another one of the same meter."""
        if self.found(moment) and 0 <= value < math.inf:
            moment.value, moment.attributes = value, self._labels
            for aggregation in self._aggregations:
                aggregation.aggregate(moment, moment.wanted)
        else:
            self._record(value, self._labels, moment.context)
            self._find(moment)

    def add_all(self, values: Iterable[float], moment: Moment) -> None:
        """Adds many values of one call, of which the largest is the example."""
        rest = sorted(values)
        if not rest:
            return
        self.add(rest.pop(), moment)
        if not self.found(moment) or (rest and rest[0] < 0):
            for value in rest:
                self._record(value, self._labels, moment.context)
            return
        moment.attributes = self._labels
        for aggregation in self._aggregations:
            aggregate = aggregation.aggregate
            for value in rest:
                moment.value = value
                aggregate(moment, False)

    def found(self, moment: Moment) -> bool:
        """Whether the SDK has the series where it was found, with the same readers."""
        return self._storages is not None and self._storages is moment.storages

    def _find(self, moment: Moment) -> None:
        """Looks for what the SDK has made of the labels; another thread may be in the way, until the next value."""
        if moment.storages is None:
            return
        try:
            self._aggregations = [
                _aggregation(match, self._labels)
                for storage in moment.storages.values()
                for match in storage._instrument_view_instrument_matches[self._instrument]
            ]
        except (AttributeError, LookupError, RuntimeError):
            return
        self._storages = moment.storages


def _aggregation(match: Any, labels: Labels) -> Any:
    """The aggregation of the labels, or of those that a view keeps; it is among the last that were made."""
    keys = match._view._attribute_keys
    kept = labels if keys is None else {name: value for name, value in labels.items() if name in keys}
    for aggregation in reversed(match._attributes_aggregation.values()):
        if (aggregation._attributes or {}) == kept:
            return aggregation
    raise LookupError
