"""What it takes to read OTLP/JSON: CPU microseconds a span, beside protobuf's own JSON reader on the same spans.

    uv run python benchmarks/otlp_json.py [--quick] [--json]

One request of 512 spans of LLM calls, of 1.4 KB each in protobuf, becomes protobuf again. protobuf's own reader takes
ids in base64 only and gets them so; it serializes what it has read. Both must give the same spans. They take turns;
each figure is the median of its rounds, the ratio that of the rounds' own ratios.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.llm_spans import llm_request

from otel_llm_collector.otlp.json_body import to_protobuf

#: Times that it should be as fast as protobuf's own reader.
AIM = 5.0
SPANS = 512
_IDS = ("traceId", "spanId", "parentSpanId")


@dataclass(frozen=True)
class Results:
    """CPU microseconds a span, of each reader and of parsing the JSON alone, and bytes a span."""

    ours: float
    protobuf: float
    parsing: float
    ratio: float
    json_bytes: float
    protobuf_bytes: float

    def __str__(self) -> str:
        rows = [("otel_llm", self.ours), ("json_format", self.protobuf), ("orjson alone", self.parsing)]
        lines = [f"{name:14}{micros:8.1f} us a span {1e6 / micros:9,.0f} spans/s" for name, micros in rows]
        size = f"{SPANS} spans of {self.protobuf_bytes:.0f} bytes, {self.json_bytes:.0f} in JSON"
        return "\n".join((size, *lines, f"json_format / otel_llm {self.ratio:.1f}, aim {AIM:.0f}: {self.verdict}"))

    @property
    def verdict(self) -> str:
        """How the ratio stands to its aim."""
        return "met" if self.ratio >= AIM else "MISSED"


def _ids_in_hexadecimal(found: dict[str, Any]) -> dict[str, Any]:
    return {name: base64.b64decode(value).hex() if name in _IDS else value for name, value in found.items()}


def _took(run: Callable[[], Any]) -> float:
    began = time.thread_time()
    run()
    return (time.thread_time() - began) / SPANS * 1e6


def measure(rounds: int) -> Results:
    """All figures, over that many rounds."""
    request = llm_request(SPANS)
    theirs = json_format.MessageToJson(request, indent=None, use_integers_for_enums=True)
    ours = json.dumps(json.loads(theirs, object_hook=_ids_in_hexadecimal)).encode()

    def read() -> bytes:
        return to_protobuf(ExportTraceServiceRequest, ours)

    def parse() -> bytes:
        read: bytes = json_format.Parse(theirs, ExportTraceServiceRequest()).SerializeToString()
        return read

    for run in (read, parse):
        if ExportTraceServiceRequest.FromString(run()) != request:
            raise SystemExit("A reader gives other spans than were written.")
    took = [(_took(read), _took(parse), _took(lambda: orjson.loads(ours))) for _ in range(rounds)]
    first, second, third = (statistics.median(figures) for figures in zip(*took, strict=True))
    ratio = statistics.median(protobuf / own for own, protobuf, _ in took)
    return Results(first, second, third, ratio, len(ours) / SPANS, request.ByteSize() / SPANS)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds, under 10 s")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    load = round(os.getloadavg()[0], 1)
    results = measure(9 if options.quick else 51)
    if options.json:
        row = {"benchmark": "otlp_json", "load": load, "aim": AIM, "verdict": results.verdict, **asdict(results)}
        print(json.dumps(row))
    else:
        print(f"load {load}\n{results}")


if __name__ == "__main__":
    main()
