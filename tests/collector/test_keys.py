"""Keys: who may send and who may ask."""

from __future__ import annotations

import base64
import datetime
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from select import select
from typing import Any

import grpc
import pytest
from clickhouse_connect import get_client
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

from otel_llm_collector.door.keys import PREFIX, Key, KeyFile, digest
from otel_llm_collector.door.peers import Connections, Guesses, grpc_peer, peer
from otel_llm_collector.errors import CollectorError
from otel_llm_collector.otlp import flatten
from otel_llm_collector.signals import SIGNALS, TRACES
from tests.collector.conftest import Start
from tests.support.collector import Handle, launch, send
from tests.support.command import otel_llm, sentence
from tests.support.otlp import body, request, span

TYPE = {"Content-Type": "application/x-protobuf"}
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PATIENCE_S = 30.0


def _make(data: Path, name: str, *options: str) -> str:
    done = otel_llm("keys", "create", name, "--data", str(data), *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _entry(name: str, secret: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "digest": digest(secret),
        "scopes": ["ingest"],
        "created": "2026-01-01T00:00:00+00:00",
    } | fields


KEYS = {
    "sender": {},
    "tenant-a": {"tenant": "a"},
    "tenant-b": {"tenant": "b"},
    "reader": {"scopes": ["read"]},
    "boss": {"scopes": ["admin"]},
    "old": {"scopes": ["admin"], "expires": "2026-01-02T00:00:00+00:00"},
    "gone": {"scopes": ["admin"], "revoked": "2026-01-02T00:00:00+00:00"},
}
SECRETS = {name: f"{PREFIX}{name}-secret" for name in KEYS} | {"nobody": f"{PREFIX}nobody-secret"}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    """A collector with keys; unknown ones are many here, so nobody is locked out."""
    from tests.support.collector import start_collector

    data = tmp_path_factory.mktemp("locked")
    entries = [_entry(name, SECRETS[name], **fields) for name, fields in KEYS.items()]
    (data / "keys.json").write_text(json.dumps({"keys": entries}))
    handle = start_collector(data, key_failures=1000)
    yield handle
    assert handle.stop() == 0


def _post(collector: Handle, sent: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    return send("POST", f"{collector.http}/v1/traces", sent, {**TYPE, **headers})


def _export(collector: Handle, sent: bytes, metadata: list[tuple[str, str]]) -> grpc.StatusCode:
    with grpc.insecure_channel(collector.grpc.removeprefix("http://")) as channel:
        try:
            channel.unary_unary(EXPORT)(sent, metadata=metadata)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("name", "code", "answer", "words"),
    [
        ("sender", grpc.StatusCode.OK, 200, ""),
        ("boss", grpc.StatusCode.OK, 200, ""),
        (
            "",
            grpc.StatusCode.UNAUTHENTICATED,
            401,
            "A key is needed: send it as x-api-key, or as Authorization: Bearer.",
        ),
        ("nobody", grpc.StatusCode.UNAUTHENTICATED, 401, "This key is not known here."),
        ("old", grpc.StatusCode.UNAUTHENTICATED, 401, "Key old is expired."),
        ("gone", grpc.StatusCode.UNAUTHENTICATED, 401, "Key gone is revoked."),
        ("reader", grpc.StatusCode.PERMISSION_DENIED, 403, "Key reader has not the scope ingest."),
    ],
)
@pytest.mark.parametrize("way", ["x-api-key", "authorization"])
def test_sending(
    locked: Handle, service: str, name: str, code: grpc.StatusCode, answer: int, words: str, way: str
) -> None:
    """At both doors, in both ways; a refusal is OTLP's, in the encoding of the request."""
    secret = SECRETS.get(name, "")
    shown = {way: secret if way == "x-api-key" else f"Bearer {secret}"} if name else {}
    sent = body(span(), service=service)
    got, headers, said = _post(locked, sent, shown)
    assert got == answer
    if words:
        status = Status.FromString(said)
        assert (status.code, status.message) == (code.value[0], words)
        assert headers.get("WWW-Authenticate") == ("Bearer" if answer == 401 else None)
        got, headers, said = _post(locked, b"{}", {**shown, "Content-Type": "application/json"})
        assert (got, json.loads(said)["message"]) == (answer, words)
    assert _export(locked, body(span(), service=service), list(shown.items())) is code
    locked.flush()
    stored = locked.query("SELECT count() AS n FROM otel_traces WHERE ServiceName = {s:String}", s=service)
    assert stored == [{"n": 0 if words else 2}]


@pytest.mark.parametrize("path", ["/", "/v1/other", "/v1/logs", "/v1/metrics"])
def test_without_a_key_nothing_is_said(locked: Handle, path: str) -> None:
    """Not even which paths there are, and a body is not read."""
    assert send("GET", locked.http + path, b"")[0] == 401
    assert send("POST", locked.http + path, b"garbage", {"Content-Encoding": "gzip"})[0] == 401


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("reader", 200, None), ("boss", 200, None), ("", 401, "516"), ("nobody", 401, "516"), ("old", 401, "516"),
     ("gone", 401, "516"), ("sender", 403, "497"), ("tenant-a", 403, "497")],
)  # fmt: skip
def test_asking(locked: Handle, name: str, status: int, code: str | None) -> None:
    """SQL in all ways of ClickHouse's clients and ours, refused in its words; status and metrics likewise."""
    secret = SECRETS.get(name, "")
    basic = base64.b64encode(f"default:{secret}".encode()).decode()
    ways = [
        {"Authorization": f"Bearer {secret}"}, {"Authorization": f"Basic {basic}"}, {"X-ClickHouse-Key": secret},
        {"x-api-key": secret},
    ] if name else [{}]  # fmt: skip
    for way in ways:
        got, headers, said = send("POST", f"{locked.api}/", b"SELECT 1", way)
        assert (got, headers.get("X-ClickHouse-Exception-Code")) == (status, code)
        assert code is None or said.startswith(f"Code: {code}. DB::Exception: ".encode())
    assert send("GET", f"{locked.api}/?query=SELECT+1&password={secret}", b"")[0] == status
    for path in ("/v1/status", "/metrics", "/"):
        assert send("GET", locked.api + path, b"", ways[0])[0] == status
    assert send("POST", locked.api + "/v1/flush", b"", ways[0])[0] == status
    assert send("GET", locked.api + "/none", b"", ways[0])[0] == (status if code else 404)


@pytest.mark.parametrize("path", ["/ping", "/livez", "/readyz"])
def test_health_needs_no_key(locked: Handle, path: str) -> None:
    assert send("GET", locked.api + path, b"")[0] == 200


def test_clickhouse_connect_with_a_key(locked: Handle) -> None:
    """As password, whatever the user is called."""
    port = int(locked.api.rpartition(":")[2])
    with get_client(host="127.0.0.1", port=port, username="me", password=SECRETS["reader"]) as client:
        assert client.query("SELECT 1 + 1").result_rows == [(2,)]
    with pytest.raises(Exception, match="not known here"):
        get_client(host="127.0.0.1", port=port, username="me", password="wrong")


def test_the_official_exporters_with_a_key(locked: Handle, service: str) -> None:
    """In their header options; without, they are told, and do not try again for ever."""
    for secret, outcome in ((SECRETS["sender"], SpanExportResult.SUCCESS), ("wrong", SpanExportResult.FAILURE)):
        for exporter in (
            HttpExporter(f"{locked.http}/v1/traces", headers={"x-api-key": secret}),
            GrpcExporter(locked.grpc, insecure=True, headers={"authorization": f"Bearer {secret}"}),
        ):
            results: list[Any] = []
            export = exporter.export
            exporter.export = lambda spans, export=export, results=results: results.append(export(spans))  # type: ignore[method-assign] # to see what it returns
            provider = TracerProvider(resource=Resource({"service.name": service}))
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            provider.get_tracer("tests").start_span("one").end()
            provider.shutdown()
            assert results == [outcome]
    locked.flush()
    stored = locked.query("SELECT count() AS n FROM otel_traces WHERE ServiceName = {s:String}", s=service)
    assert stored == [{"n": 2}]


def test_a_key_stamps_its_tenant(locked: Handle, service: str) -> None:
    """The same body of two tenants is stored twice; the same of one is stored once, whichever door it takes."""
    sent = body(span({"gen_ai.operation.name": "chat"}), service=service)
    for name in ("tenant-a", "tenant-b", "sender"):
        for _ in range(2):
            assert _post(locked, sent, {"x-api-key": SECRETS[name], "X-Tenant": "z", "X-Scope-OrgID": "z"})[0] == 200
        assert _export(locked, sent, [("x-api-key", SECRETS[name]), ("x-tenant", "z")]) is grpc.StatusCode.OK
    locked.flush()
    asked = (
        "SELECT TenantId AS t, count() AS n FROM otel_traces WHERE ServiceName = {s:String} GROUP BY t ORDER BY t",
        "SELECT tenant_id AS t, count() AS n FROM llm_calls WHERE service_name = {s:String} GROUP BY t ORDER BY t",
        "SELECT tenant_id AS t, sum(calls) AS n FROM llm_calls_hourly WHERE service_name = {s:String} "
        "GROUP BY t ORDER BY t",
    )
    for sql in asked:
        assert locked.query(sql, s=service) == [{"t": "", "n": 1}, {"t": "a", "n": 1}, {"t": "b", "n": 1}]


FORGED = flatten._field(b"forged")
"""What marks a resource as a tenant's, as a client may send it."""


def _forged(service: str, *, behind: bool, nested: bool = False) -> bytes:
    """A request whose resource says itself whose it is, before or behind everything else in it."""
    attributes: dict[str, Any] = {"gen_ai.operation.name": "chat"}
    if nested:
        attributes["deep"] = {"a": [{"b": 1}]}
    (group,) = request(span(attributes), service=service).resource_spans
    inner = group.SerializeToString()
    inner = inner + FORGED if behind else FORGED + inner
    message = TRACES.request()
    message.resource_spans.add().MergeFromString(inner)
    sent: bytes = message.SerializeToString()
    if not behind:  # protobuf writes unknown fields last, so this one is built by hand
        sent = b"\x0a" + _length(len(inner)) + inner
    assert FORGED in sent
    return sent


def _length(size: int) -> bytes:
    return bytes((size,)) if size < 128 else bytes((size & 0x7F | 0x80, size >> 7))


@pytest.mark.parametrize("nested", [False, True], ids=["plain", "rewritten"])
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize(("name", "tenant"), [("tenant-a", "a"), ("sender", "")])
def test_a_sender_cannot_choose_its_tenant(
    locked: Handle, service: str, name: str, tenant: str, behind: bool, nested: bool
) -> None:
    """By the field that the collector marks it with, wherever it stands; nor does one without a tenant get one."""
    assert _post(locked, _forged(service, behind=behind, nested=nested), {"x-api-key": SECRETS[name]})[0] == 200
    locked.flush()
    assert locked.query("SELECT TenantId AS t FROM otel_traces WHERE ServiceName = {s:String}", s=service) == [
        {"t": tenant}
    ]
    assert locked.query("SELECT tenant_id AS t FROM llm_calls WHERE service_name = {s:String}", s=service) == [
        {"t": tenant}
    ]


def test_every_signal_can_be_stamped() -> None:
    """The field is one that OTLP does not have."""
    for signal in SIGNALS:
        message = signal.request()
        getattr(message, signal.groups[0]).add()
        flatten.stamp(message, signal, "a")
        assert message.SerializeToString().endswith(flatten._field(b"a"))


def test_commands_on_this_machine_need_no_key(locked: Handle) -> None:
    """They read the collector's own, which only the folder's owner can; a key of the environment wins."""
    file = locked.data / "collector.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    data = ("--data", str(locked.data))
    assert otel_llm("sql", "SELECT 1 AS a", "--format", "tsv", *data).stdout == "a\n1\n"
    assert otel_llm("calls", "--json", *data).returncode == 0
    asked = otel_llm("sql", "SELECT 1 AS a", "--format", "tsv", *data, OTEL_LLM_API_KEY=SECRETS["reader"])
    assert asked.stdout == "a\n1\n"
    refused = sentence(otel_llm("sql", "SELECT 1", *data, OTEL_LLM_API_KEY=SECRETS["gone"]))
    assert refused == f"The collector at {locked.api} says: Key gone is revoked. Name a key in OTEL_LLM_API_KEY."
    assert "Key gone is revoked" in otel_llm("doctor", *data, OTEL_LLM_API_KEY=SECRETS["gone"]).stdout.replace(
        "\n", " "
    )


def test_a_key_is_seen_nowhere(tmp_path: Path, start: Start) -> None:
    """Not in the file of keys, the status, the metrics, the answers or the log; in what goes wrong neither."""
    secret = KeyFile(tmp_path).create("one", ["admin"])
    guess = f"{PREFIX}{'g' * 40000}"
    collector = start(tmp_path)
    key = {"x-api-key": secret}
    said = [(tmp_path / "keys.json").read_bytes()]
    said += [send("GET", collector.api + path, b"", key)[2] for path in ("/v1/status", "/metrics", "/")]
    said += [send("POST", collector.api, b"SELEC 1", key)[2]]
    said += [send("GET", f"{collector.api}/?query=SELEC&password={secret}", b"")[2]]
    said += [send("GET", f"{collector.http}/", b"", {"x-api-key": guess})[2]]
    said += [send("GET", f"{collector.http}/", b"", {"x-api-key": "\x01" + secret})[2]]
    said += [(tmp_path / "collector.json").read_bytes()]
    collector.process.terminate()
    said.append(collector.process.communicate(timeout=60)[1].encode())
    for text in said:
        assert secret.encode() not in text
        assert b"g" * 100 not in text
    assert not (tmp_path / "collector.key").exists()


def test_guessing_is_slowed_down(tmp_path: Path, start: Start) -> None:
    """After so many keys that are none a caller waits, at every door; keys that are valid are let in, and a resend
    after a mistake is not made to."""
    secret = KeyFile(tmp_path).create("one", ["admin"])
    collector = start(tmp_path, key_failures=3)
    codes = [_post(collector, b"", {"x-api-key": f"guess {number}"})[0] for number in range(5)]
    assert codes == [401, 401, 401, 429, 429]
    code, headers, said = _post(collector, b"", {"x-api-key": "guess"})
    assert (code, Status.FromString(said).code) == (429, 8)
    assert 1 <= int(headers["Retry-After"]) <= 60
    code, headers, _ = send("POST", collector.api, b"SELECT 1", {"X-ClickHouse-Key": "guess"})
    assert (code, headers["X-ClickHouse-Exception-Code"]) == (429, "516")
    assert _export(collector, b"", [("x-api-key", "guess")]) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert _post(collector, b"", {"x-api-key": "guess", "X-Forwarded-For": "192.0.2.7"})[0] == 429
    assert _post(collector, b"", {})[0] == 401
    assert _post(collector, b"", {"x-api-key": secret})[0] == 200
    assert _export(collector, b"", [("x-api-key", secret)]) is grpc.StatusCode.OK
    status = json.loads(send("GET", f"{collector.api}/v1/status", b"", {"x-api-key": secret})[2])
    assert status["refused_callers"] == {"unknown": 3, "locked": 6, "missing": 1}
    assert collector.stop() == 0


def _until(condition: Callable[[], bool]) -> None:
    """Wait for what must come, since the file is looked at once a second."""
    ended = threading.Event()
    for _ in range(int(PATIENCE_S / 0.1)):
        if condition():
            return
        ended.wait(0.1)
    raise AssertionError("It did not come.")


def _can_be_read(collector: Handle) -> bool:
    """Whether it has said something to the log."""
    return bool(select([collector.process.stderr], [], [], 0)[0])


def test_keys_change_while_it_runs(tmp_path: Path, start: Start) -> None:
    """The first closes the doors, a revoked one is refused; a broken file changes nothing, and the log says so."""
    collector = start(tmp_path)
    assert _post(collector, b"", {})[0] == 200
    secret = _make(tmp_path, "one")
    _until(lambda: _post(collector, b"", {})[0] == 401)
    assert _post(collector, b"", {"x-api-key": secret})[0] == 200
    good = (tmp_path / "keys.json").read_text()
    (tmp_path / "keys.json").write_text("{broken")
    other = KeyFile(tmp_path / "other")
    more = other.create("two")
    _until(lambda: _post(collector, b"", {})[0] == 401 and _can_be_read(collector))
    (tmp_path / "keys.json").write_text(good.replace("\n  ]", f",\n{json.dumps(_entry('two', more))}]"))
    _until(lambda: _post(collector, b"", {"x-api-key": more})[0] == 200)
    (tmp_path / "keys.json").unlink()
    assert collector.process.stderr is not None
    assert "is no file of keys" in collector.process.stderr.readline()
    _until(lambda: _post(collector, b"", {"x-api-key": more})[0] == 200 and _can_be_read(collector))
    (tmp_path / "keys.json").write_text(good)
    assert otel_llm("keys", "revoke", "one", "--data", str(tmp_path)).stdout == "Key one is revoked.\n"
    _until(lambda: _post(collector, b"", {"x-api-key": secret})[0] == 401)
    assert _post(collector, b"", {})[0] == 401
    collector.process.terminate()
    (complaint,) = collector.process.communicate(timeout=60)[1].splitlines()
    assert complaint.endswith("to go on without, start again. What was read before stays in force.")


def test_a_broken_file_of_keys_stops_a_start(tmp_path: Path) -> None:
    """Rather than let everybody in."""
    for content, words in (
        ("{", "is no file of keys"),
        ("[]", "is no file of keys"),
        ('{"keys": [{"name": "a"}]}', "is no file of keys"),
        (json.dumps({"keys": [_entry("a", "x", scopes=["write"])]}), "Scope write is not known"),
        (json.dumps({"keys": [_entry("a", "x", expires="2026-01-01T00:00:00")]}), "has no time zone"),
        (json.dumps({"keys": [_entry("a", "x", tenant="t", scopes=["read"])]}), "A key with a tenant"),
        (json.dumps({"keys": [_entry("a", "x"), _entry("a", "y")]}), "two have the same name"),
    ):
        (tmp_path / "keys.json").write_text(content)
        with pytest.raises(CollectorError, match=words):
            KeyFile(tmp_path).read()
    process = launch(tmp_path)
    assert "two have the same name" in process.communicate(timeout=60)[1]
    assert process.returncode == 1


def test_making_keys(tmp_path: Path) -> None:
    """The secret is printed once and kept nowhere; the file is its owner's."""
    data = ("--data", str(tmp_path / "new"))
    assert "There are no keys" in otel_llm("keys", "list", *data).stdout
    secrets = [_make(tmp_path / "new", "one"), _make(tmp_path / "new", "two", "--tenant", "café", "--expires", "90d")]
    _make(tmp_path / "new", "three", "--scope", "ingest", "--scope", "read")
    file = tmp_path / "new" / "keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert all(secret.startswith(PREFIX) and len(secret) == len(PREFIX) + 43 for secret in secrets)
    assert not any(secret in file.read_text() for secret in secrets)
    assert otel_llm("keys", "revoke", "one", *data).returncode == 0
    rows = json.loads(otel_llm("keys", "list", "--json", *data).stdout)
    assert [(row["name"], row["scopes"], row["tenant"], row["state"]) for row in rows] == [
        ("one", ["ingest"], "", "revoked"),
        ("two", ["ingest"], "café", "valid"),
        ("three", ["ingest", "read"], "", "valid"),
    ]
    times = [datetime.datetime.fromisoformat(rows[1][name]) for name in ("created", "expires")]
    assert times[1] - times[0] == datetime.timedelta(days=90)
    table = otel_llm("keys", "list", *data, COLUMNS="200").stdout
    assert all(name in table for name in ("one", "two", "café", "revoked"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "one"), "There is a key one already; a name is used once, even when it is revoked."),
        (("create", "a b"), "Name 'a b' is not usable: 1 to 64 letters, digits, or any of . _ @ -."),
        (("create", "two", "--scope", "write"), "Scope write is not known: ingest, read, admin are."),
        (("create", "two", "--expires", "soon"), "soon is not a period: write hours, days or weeks, such as 12h, 90d"),
        (("create", "two", "--expires", "999999w"), "999999w is not a period"),
        (("create", "two", "--expires", "0d"), "0d is not a period"),
        (("create", "two", "--tenant", "x" * 65), "is not usable: at most 64 bytes of printable text."),
        (("create", "two", "--tenant", "a\nb"), "is not usable: at most 64 bytes of printable text."),
        (("create", "two", "--tenant", "a", "--scope", "read"), "A key with a tenant can have the scope ingest only"),
        (("create", "two", "--tenant", "a", "--scope", "admin"), "A key with a tenant can have the scope ingest only"),
        (("revoke", "two"), "There is no key two; see them with: otel-llm keys list"),
    ],
)  # fmt: skip
def test_keys_that_cannot_be(one_key: Path, arguments: tuple[str, ...], words: str) -> None:
    """One sentence, and the file stays as it was."""
    before = (one_key / "keys.json").read_bytes()
    assert words in sentence(otel_llm("keys", *arguments, "--data", str(one_key)))
    assert (one_key / "keys.json").read_bytes() == before


@pytest.fixture(scope="module")
def one_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("one")
    KeyFile(data).create("one")
    return data


def test_keys_made_at_the_same_time(tmp_path: Path) -> None:
    """None is lost."""
    threads = [threading.Thread(target=KeyFile(tmp_path).create, args=(f"key-{number}",)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key.name for key in KeyFile(tmp_path).read()) == sorted(f"key-{number}" for number in range(20))
    assert sorted(os.listdir(tmp_path)) == ["keys.json"]


def test_the_state_of_a_key() -> None:
    now = datetime.datetime.now(datetime.UTC)
    for expires, revoked, state in (
        ("", "", "valid"),
        ((now + datetime.timedelta(hours=1)).isoformat(), "", "valid"),
        ((now - datetime.timedelta(hours=1)).isoformat(), "", "expired"),
        ("", now.isoformat(), "revoked"),
    ):
        assert Key("a", "", ("ingest",), now.isoformat(), "", expires, revoked).state == state


@pytest.mark.parametrize(
    ("address", "who"),
    [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("::1", "::1"), ("fe80::1%eth0", "fe80::/64"),
     ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("", ""), ("unix", "unix")],
)  # fmt: skip
def test_who_an_address_is(address: str, who: str) -> None:
    """Who has an IPv6 address has all of its /64."""
    assert peer(address) == who
    if ":" in address and "%" not in address:
        assert grpc_peer(f"ipv6:%5B{address}%5D:5000") == who
    elif "." in address:
        assert grpc_peer(f"ipv4:{address}:5000") == who


def test_tables_of_callers_are_bounded() -> None:
    """Whoever comes: the oldest guesses are forgotten, connections that end leave nothing."""
    guesses = Guesses(1)
    for number in range(10_000):
        assert guesses.add(str(number)) == 0
    assert len(guesses._peers) == 4096
    assert guesses.add("9999") > 0
    connections = Connections(10, 2)
    assert [connections.enter("a") for _ in range(3)] == [True, True, False]
    assert [connections.enter(str(number)) for number in range(9)] == [True] * 8 + [False]
    for name in ("a", "a", *map(str, range(8))):
        connections.leave(name)
    assert (connections.total, connections.refused, len(connections._open)) == (0, 2, 0)
