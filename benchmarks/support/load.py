"""A sender that never waits for itself: OTLP over HTTP from a process of its own, with bodies made beforehand.

    python -m benchmarks.support.load http://127.0.0.1:4318/v1/traces <seconds> <connections> <spans a request> <share>

Every request has trace ids of its own; ``share`` is that of the spans that are model calls. It asks again what it is
asked to send again, after the time that it is told, and prints one line of JSON: what was acknowledged, how long the
acknowledgements took, and its own CPU seconds.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

from .llm_spans import llm_request

_MARK = b"\xa5\x5a\x3c\xc3\x99\x66\xf0\x0f"
_BODIES = 8


def bodies(spans: int, share: float) -> list[bytes]:
    """Requests whose trace ids begin with a mark, to be replaced in each that is sent."""
    made = []
    for seed in range(_BODIES):
        request = llm_request(spans, seed)
        for number, span in enumerate(request.resource_spans[0].scope_spans[0].spans):
            span.trace_id = _MARK + (number // 5).to_bytes(8, "big")  # five spans a trace
            if number >= share * spans:
                for attribute in span.attributes:
                    attribute.key = attribute.key.replace("gen_ai.", "app.")
        made.append(request.SerializeToString())
    return made


def fresh(body: bytes) -> bytes:
    """The request with other trace ids."""
    return body.replace(_MARK, os.urandom(len(_MARK)))


class Load:
    """Threads that send as fast as they are answered."""

    def __init__(self, url: str, seconds: float, connections: int, spans: int, share: float) -> None:
        self._parts = urlsplit(url)
        self._seconds = seconds
        self._spans = spans
        self._bodies = bodies(spans, share)
        self.acks: list[float] = []
        self.refused = 0
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(connections)]

    def run(self) -> dict[str, object]:
        began = time.monotonic()
        self._until = began + self._seconds
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()
        took = time.monotonic() - began
        return {
            "spans": len(self.acks) * self._spans,
            "bytes": sum(map(len, self._bodies)) / len(self._bodies) / self._spans,
            "seconds": took,
            "acks": sorted(self.acks),
            "refused": self.refused,
            "cpu": time.process_time(),
        }

    def _send(self, number: int) -> None:
        connection = HTTPConnection(str(self._parts.netloc), timeout=60)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.monotonic() < self._until:
            body = fresh(self._bodies[number % _BODIES])
            number += 1
            began = time.monotonic()
            while True:
                connection.request("POST", self._parts.path, body, {"Content-Type": "application/x-protobuf"})
                response = connection.getresponse()
                response.read()
                if response.status == 200:
                    break
                if response.status not in (429, 502, 503, 504):
                    raise SystemExit(f"{response.status} {response.reason}")
                self.refused += 1
                time.sleep(float(response.headers.get("Retry-After", "0.2")))
            self.acks.append(time.monotonic() - began)
        connection.close()


if __name__ == "__main__":
    to, *numbers = sys.argv[1:]
    print(json.dumps(Load(to, float(numbers[0]), int(numbers[1]), int(numbers[2]), float(numbers[3])).run()))
