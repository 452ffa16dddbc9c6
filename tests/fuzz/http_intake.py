"""Fuzzes what an HTTP body goes through: inflating it, and checking the protobuf in it."""

from __future__ import annotations

import random
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import atheris
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

with atheris.instrument_imports(include=["otel_llm_collector"]):
    from otel_llm_collector.errors import Malformed
    from otel_llm_collector.log.record import Good
    from otel_llm_collector.otlp.check import check
    from otel_llm_collector.otlp.clock import Window
    from otel_llm_collector.otlp.flatten import flatten
    from otel_llm_collector.receiver.inflate import TooLarge, UnknownEncoding, inflate, zstd
    from otel_llm_collector.receiver.room import Room
    from otel_llm_collector.signals import METRICS, SIGNALS, Signal

from tests.fuzz.fuzzer import LONGEST, fuzz
from tests.support.otlp import START
from tests.support.random_messages import fill

_LIMIT = 1 << 16
_ENCODINGS = ("gzip", "deflate", "zstd", "identity", "br")
_WINDOW = Window.at(START, 32)


def take_in(data: bytes) -> None:
    """The first byte chooses between inflating, in one encoding, and checking, as one signal."""
    choice, body = (data[0] % 8, data[1:]) if data else (0, b"")
    if choice >= len(_ENCODINGS):
        _check(SIGNALS[choice - len(_ENCODINGS)], body)
        return
    whole = _inflated([body], _ENCODINGS[choice])
    pieces = _inflated([body[at : at + 7] for at in range(0, len(body), 7)], _ENCODINGS[choice])
    # libzstd believes a wrong length in the header of a frame that is empty, unless it sees the frame at once.
    assert pieces == whole or (_ENCODINGS[choice] == "zstd" and b"" in (pieces, whole))
    assert whole is None or len(whole) <= _LIMIT


def _inflated(chunks: list[bytes], encoding: str) -> bytes | None:
    """What a body in these pieces becomes, if it is not refused; it waits for nothing, so no event loop is needed."""

    async def arriving() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    room = Room(_LIMIT)
    try:
        inflate(arriving(), encoding, _LIMIT, room.lease()).send(None)
    except StopIteration as done:
        return bytes(done.value)
    except (Malformed, TooLarge, UnknownEncoding):
        return None
    finally:
        assert room.taken <= _LIMIT + 1
    raise AssertionError("Inflating waits for something.")


def _check(signal: Signal, body: bytes) -> None:
    try:
        checked = check(signal, body, _WINDOW)
    except Malformed:
        return
    assert _items(signal, checked.body) == checked.items
    assert check(signal, checked.body, _WINDOW) == replace(checked, rejected=0, reason="", clamped=0)
    assert _items(signal, check(signal, body, _WINDOW, "tenant").body) == checked.items
    whole = Good(0, 0, len(checked.body), checked.items, checked.kinds, b"", "tenant")
    assert _items(signal, flatten(signal, checked.body, [whole])) == checked.items


def _items(signal: Signal, body: bytes) -> int:
    groups, scopes, items = signal.groups
    return sum(
        _points(item) if signal is METRICS else 1
        for group in getattr(signal.request.FromString(body), groups)
        for scope in getattr(group, scopes)
        for item in getattr(scope, items)
    )


def _points(metric: Metric) -> int:
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind else 0


def _seeds() -> Iterator[bytes]:
    chance = random.Random(2)
    found = 0
    while found < 60:
        number = found % 3
        message = SIGNALS[number].request()
        fill(message, chance, depth=chance.randrange(4))
        body = message.SerializeToString()
        if 500 < len(body) < LONGEST:
            found += 1
            yield bytes((len(_ENCODINGS) + number,)) + body
            yield b"\x00" + zlib.compress(body, wbits=31)
            yield b"\x01" + zlib.compress(body)
            yield b"\x02" + zstd.compress(body)
    for size in (_LIMIT, _LIMIT + 1, 1 << 22):
        yield b"\x00" + zlib.compress(bytes(size), 9, wbits=31)
        yield b"\x01" + zlib.compress(bytes(size), 9)
        yield b"\x02" + zstd.compress(bytes(size))


if __name__ == "__main__":
    fuzz(take_in, _seeds())
