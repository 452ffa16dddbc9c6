"""Clients of Jaeger's storage that hardly take what they asked for."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path

import grpc

from otel_llm_collector.jaeger.messages import message
from tests.collector.conftest import Start
from tests.support.collector import send
from tests.support.jaeger_client import address, method
from tests.support.jaeger_storage import JaegerStorage
from tests.support.otlp import body, span

_TYPE = {"Content-Type": "application/x-protobuf"}
_CLIENTS = 8
"""As many as have spans in memory at once."""
_PATIENCE_S = 60.0


def test_who_waits_for_slow_clients_is_told_so(start: Start, tmp_path: Path) -> None:
    """While they hold all the room others are refused; once they are gone it is free."""
    collector = start(tmp_path / "data", query_seconds=5, body_seconds=600)
    trace_id, text = os.urandom(16), "x" * 20_000
    for _ in range(4):
        sent = body(*(span({"x": text}, trace_id=trace_id) for _ in range(800)))
        assert send("POST", f"{collector.http}/v1/traces", sent, _TYPE)[0] == 200
    collector.flush()
    request = message("GetTracesRequest")(query=[{"trace_id": trace_id}])
    with JaegerStorage(collector.jaeger) as jaeger, ExitStack() as slow:
        for _ in range(_CLIENTS):
            channel = slow.enter_context(
                grpc.insecure_channel(address(collector.jaeger), [("grpc.use_local_subchannel_pool", 1)])
            )
            call = method(channel, "GetTraces")(request)
            slow.callback(call.cancel)
            assert next(call)
        fields = {"query": [{"trace_id": trace_id}]}
        code, said = jaeger.refused("GetTraces", fields)
        assert (code, "being sent to others" in said) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True), said
        assert jaeger.call("GetServices", {})
        slow.close()
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                found = jaeger.call("GetTraces", fields)
                break
            except grpc.RpcError:
                assert time.monotonic() < deadline
        assert found
