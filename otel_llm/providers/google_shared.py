"""What Google's endpoints share: who a client talks to, what the headers of an answer say, how work stands."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from otel_llm import attributes as a
from otel_llm.provider import Endpoint, Params, Server, dig, fields, get

#: Parameters that say how a request travels, or that are in the messages.
TRANSPORT = frozenset({"model", "contents", "http_options", "should_return_http_response"})

#: For what nothing is charged, or nothing yet.
FREE: Mapping[a.Attribute, Any] = {a.COST_STATUS: "free"}

#: The conventions' words for how work stands, by the end of Google's; any other is given in lower case.
_STATES = {
    "PENDING": "queued",
    "RUNNING": "in_progress",
    "CANCELLING": "in_progress",
    "UPDATING": "in_progress",
    "SUCCEEDED": "completed",
    "PARTIALLY_SUCCEEDED": "incomplete",
    "EXPIRED": "failed",
}

#: Headers by which Vertex AI is asked for a tier, and by which the Developer API says which one it gave.
_ASKED_BY = ("x-vertex-ai-llm-shared-request-type", "x-vertex-ai-llm-request-type")
_GIVEN_BY = "x-gemini-service-tier"


def pair(module: str, method: str, **described: Any) -> Endpoint:
    """A method below ``google.genai`` and its async twin, whose class is named after it."""
    return Endpoint(
        module=f"google.genai.{module}",
        method=method,
        async_method=f"Async{method}",
        unrecorded=TRANSPORT | described.pop("unrecorded", frozenset()),
        **described,
    )


@lru_cache(maxsize=64)
def _server(url: str, vertex: bool) -> Server:
    parts = urlsplit(url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    return Server("gcp.vertex_ai" if vertex else "gcp.gemini", parts.hostname, port)


def server(resource: Any) -> Server:
    """Who a resource talks to: its client says, which newer resources that are generated keep in other places."""
    if (client := getattr(resource, "_api_client", None)) is not None:
        url = dig(client, "_http_options", "base_url")
        vertex = getattr(client, "vertexai", False)
    elif (configuration := getattr(resource, "sdk_configuration", None)) is not None:
        url = configuration.server_url
        version = str(getattr(configuration.globals, "api_version", None) or "")
        vertex = "/projects/" in version or "aiplatform" in str(url)
    else:
        client = resource._client
        url, vertex = client.base_url, getattr(client, "_is_vertex", False)
    return _server(str(url or ""), bool(vertex))


def header(headers: Any, name: str) -> str | None:
    """A header, by its name in lower case; what the SDK keeps of the headers depends on the HTTP library below it."""
    found = headers.get(name)
    if found is None and isinstance(headers, dict):
        found = next((value for key, value in headers.items() if key.lower() == name), None)
    return found if isinstance(found, str) else None


def request_id(thing: Any) -> str | None:
    """The id of the HTTP request of an error or a stream.

    The Interactions API has one; the other APIs have no such header, but a gateway in front of them may.
    """
    response = getattr(thing, "response", None)
    headers = getattr(thing if response is None else response, "headers", None)
    return None if headers is None else header(headers, "x-request-id")


def tier_asked(params: Params) -> dict[a.Attribute, Any]:
    """The service tier that a request asks for, by its parameter or, of Vertex AI, by a header."""
    if tier := params.get("service_tier"):
        return {a.SERVICE_TIER_REQUESTED: word(tier)}
    headers = get(params.get("http_options"), "headers")
    if isinstance(headers, dict):
        for name in _ASKED_BY:
            if tier := header(headers, name):
                return {a.SERVICE_TIER_REQUESTED: word(tier)}
    return {}


def tier_given(response: Any, usage: Any) -> dict[a.Attribute, Any]:
    """The service tier that answered: Vertex AI says it with the usage, the Developer API in a header."""
    held = fields(usage)
    tier = held.get("traffic_type") or held.get("service_tier")
    if not tier and (headers := dig(response, "sdk_http_response", "headers")):
        tier = header(headers, _GIVEN_BY)
    return {a.SERVICE_TIER_GIVEN: word(tier)} if tier else {}


def word(value: Any) -> str:
    """An enumeration's value, or a string, in lower case."""
    return str(getattr(value, "value", value)).lower()


def status(state: Any) -> str | None:
    """How work stands, in the conventions' words, of the state of a job."""
    if not state:
        return None
    name = str(getattr(state, "value", state)).upper().rpartition("STATE_")[2]
    return _STATES.get(name, name.lower())


def error_code(error: Any) -> str:
    """``error.type`` of work that failed although the request for it did not."""
    code = get(error, "code")
    return "failed" if code is None else str(code)
