"""Jaeger's remote storage: what each call does, in steps that a pool of threads does one after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from google.protobuf.message import Message

from otel_llm_collector.errors import Malformed, StoreError

from . import reader
from .call import Call
from .messages import message
from .search import LAST_NS, Search, checked, is_set, nanoseconds, stored

Messages = AsyncGenerator[Message | bytes, None]
"""What a call answers, one message or several; OTLP's as they are sent."""
_TRACES = 100
"""Traces that are looked for in one statement."""
_SMALLER = 10
_ID_BYTES = 16
_KINDS = {kind.lower(): kind for kind in ("Internal", "Server", "Client", "Producer", "Consumer")}


async def get_traces(request: Any, call: Call) -> Messages:
    """``GetTraces``: the spans of traces, one trace after the other. The times are not needed to find them."""
    ids = []
    for n, query in enumerate(request.query):
        if len(query.trace_id) != _ID_BYTES:
            raise Malformed(f"query[{n}].trace_id has {len(query.trace_id)} bytes; a trace id has {_ID_BYTES}.")
        for name in ("start_time", "end_time"):
            nanoseconds(getattr(query, name), f"query[{n}].{name}")
        ids.append(query.trace_id.hex())
    async for chunk in _spans(call, ids):
        yield chunk


async def find_traces(request: Any, call: Call) -> Messages:
    """``FindTraces``: the spans of the traces that a search finds, newest first."""
    async for chunk in _spans(call, await _found(request, call)):
        yield chunk


async def find_trace_ids(request: Any, call: Call) -> Messages:
    """``FindTraceIDs``: the ids of these traces, with about when they were."""
    answer = message("FindTraceIDsResponse")()
    for ids in reader.groups(await _found(request, call), _TRACES):
        known = await call.step(reader.ranges, ids)
        for trace_id in ids:
            found = answer.trace_ids.add(trace_id=bytes.fromhex(trace_id))
            if trace_id in known:
                found.start.FromNanoseconds(known[trace_id][0])
                found.end.FromNanoseconds(known[trace_id][1])
    yield answer


async def find_trace_summaries(request: Any, call: Call) -> Messages:
    """``FindTraceSummaries``: what these traces are about."""
    for ids in reader.groups(await _found(request, call), _TRACES):
        page = await call.step(reader.whole, ids)
        if page is None:
            continue
        answer = message("FindTraceSummariesResponse")()
        for row in await call.step(reader.summaries, page):
            summary = answer.summaries.add(
                trace_id=bytes.fromhex(row["trace_id"]),
                root_service_name=row["root_service"],
                root_operation_name=row["root_operation"],
                min_start_time_unix_nano=row["began"],
                max_end_time_unix_nano=row["ended"],
                span_count=row["spans"],
                error_span_count=row["failed_spans"],
                orphan_span_count=row["orphans"],
            )
            failed = dict(row["failed_by_service"])
            for name, spans in sorted(row["services"]):
                summary.services.add(name=name, span_count=spans, error_span_count=failed.get(name, 0))
        if answer.summaries:
            yield answer


async def get_services(_: Any, call: Call) -> Messages:
    """``GetServices``: the names of all services."""
    answer: Message = message("GetServicesResponse")(services=await call.step(reader.services))
    yield answer


async def get_operations(request: Any, call: Call) -> Messages:
    """``GetOperations``: the names and kinds of a service's spans."""
    if not request.service:
        raise Malformed("service is missing: name the one whose operations are wanted.")
    service = checked(request.service, "service")
    answer = message("GetOperationsResponse")()
    kind = _KINDS.get(request.span_kind, "unknown") if request.span_kind else ""
    for row in await call.step(reader.operations, service, kind):
        known = row["kind"].lower()
        answer.operations.add(name=row["name"], span_kind=known if known in _KINDS else "")
    yield answer


async def get_dependencies(request: Any, call: Call) -> Messages:
    """``GetDependencies``: how often services called one another."""
    if not is_set(request, "start_time"):
        raise Malformed("start_time is missing: say from when on dependencies are wanted.")
    first = nanoseconds(request.start_time, "start_time")
    last = nanoseconds(request.end_time, "end_time") if is_set(request, "end_time") else max(first, LAST_NS)
    if first > last:
        raise Malformed("end_time is before start_time; it must be the same or later.")
    answer = message("GetDependenciesResponse")()
    for row in await call.step(reader.dependencies, stored(first), stored(last)):
        answer.dependencies.add(parent=row["parent"], child=row["child"], call_count=row["calls"])
    yield answer


async def get_capabilities(_: Any, __: Call) -> Messages:
    """``GetCapabilities``: a search needs no service, and one span must meet all its conditions."""
    answer: Message = message("GetCapabilitiesResponse")(
        search={"without_service_name": True, "same_span_conjunction": True}
    )
    yield answer


async def _found(request: Any, call: Call) -> list[str]:
    search = Search.of(request.query)
    return await call.step(reader.find, search)


async def _spans(call: Call, trace_ids: list[str]) -> Messages:
    """The spans of some traces, one trace after the other."""
    for ids in reader.groups(trace_ids, _TRACES):
        if (whole := await call.step(reader.whole, ids)) is None:
            continue
        async with call.room():
            read = await call.step(reader.small, whole, reader.PAGE)
            for chunk in read or ():
                yield chunk
        if read is None:
            async for chunk in _in_pages(call, whole, reader.PAGE):
                yield chunk


async def _in_pages(call: Call, whole: reader.Page, size: int) -> Messages:
    """The spans of what is too large to be read at once; where its pages are too, in smaller ones."""
    for page in await call.step(reader.pages, whole, size):
        async with call.room():
            try:
                read = await call.step(reader.whole_spans, page)
            except StoreError as error:
                if error.code not in reader.TOO_LARGE or size == 1:
                    raise
                read = None
            for chunk in read or ():
                yield chunk
        if read is None:
            async for chunk in _in_pages(call, page, max(1, min(size, page.spans) // _SMALLER)):
                yield chunk
