"""Fuzzes the reader of OTLP/JSON."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator

import atheris

with atheris.instrument_imports(include=["otel_llm_collector"]):
    from otel_llm_collector.errors import Malformed
    from otel_llm_collector.otlp.json_body import to_protobuf
    from otel_llm_collector.signals import SIGNALS

from tests.fuzz.fuzzer import LONGEST, fuzz
from tests.support.random_messages import fill, otlp_json, spoil

_WORDS = (
    b'"NaN"', b'"-Infinity"', b"1e308", b"-0.0", b"18446744073709551615", b'"-9223372036854775808"', b"null", b"true",
    b"[{}]", b'{"values":[', b"[[[[[[[[", rb"\ud83d", rb"\u0000", rb"\\", b"\xff", b"\xed\xa0\x80", b'"A-_="',
    *(f'"{signal.request.DESCRIPTOR.fields[0].json_name}":'.encode() for signal in SIGNALS),
)  # fmt: skip
_SPAN = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"k","value":%b}]}]}]}]}'


def read(data: bytes) -> None:
    """The first byte says of which signal the rest is a request."""
    kind = SIGNALS[data[0] % 3].request if data else SIGNALS[0].request
    try:
        written = to_protobuf(kind, data[1:])
    except Malformed:
        return
    message = kind.FromString(written)
    again = kind.FromString(to_protobuf(kind, json.dumps(otlp_json(message)).encode()))
    assert again.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)


def _mutate(data: bytes, size: int, seed: int) -> bytes:
    """Half of the time a value is changed and the rest left whole, where the input is JSON of no great depth."""
    chance = random.Random(seed)
    if chance.random() < 0.5:
        with contextlib.suppress(ValueError, RecursionError):
            document = json.loads(data[1:])
            spoil(document, chance)
            return (data[:1] + json.dumps(document).encode())[:size]
    return bytes(atheris.Mutate(data, len(data)))


def _seeds() -> Iterator[bytes]:
    chance = random.Random(1)
    found = 0
    while found < 60:
        message = SIGNALS[found % 3].request()
        fill(message, chance, depth=chance.randrange(4))
        seed = bytes((found % 3,)) + json.dumps(otlp_json(message)).encode()
        if 1000 < len(seed) < LONGEST:
            found += 1
            yield seed
    for levels in (31, 32, 47, 48, 300):
        yield b"\0" + _SPAN % (b'{"arrayValue":{"values":[' * levels + b"{}" + b"]}}" * levels)
        yield b"\0" + _SPAN % (b'{"kvlistValue":{"values":[{"value":' * levels + b"{}" + b"}]}}" * levels)


if __name__ == "__main__":
    fuzz(read, _seeds(), _WORDS, _mutate)
