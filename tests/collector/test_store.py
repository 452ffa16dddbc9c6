"""A store: what its URL may say, which server it accepts, and what its inserts promise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from otel_llm.errors import ConfigError
from otel_llm_collector.clickhouse import migrations
from otel_llm_collector.clickhouse.cluster import Cluster
from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.errors import CollectorError
from tests.support.clickhouse import ClickHouse
from tests.support.command import otel_llm, sentence
from tests.support.endpoint import free_port


def test_a_server_s_url_may_name_its_cluster() -> None:
    """And nothing else."""
    assert Store("clickhouse://u:p@host/otel?cluster=c").cluster == Cluster("c", "otel")
    assert Store("clickhouse://u:p@host/otel").cluster is None
    with pytest.raises(ConfigError, match=r"Store clickhouse://u:\*\*\*@host/otel\?x=1 says x; after \? there are"):
        Store("clickhouse://u:p@host/otel?x=1")


@pytest.mark.parametrize(
    "password", ["hu/sh", "hu?sh", "hu#sh", "12/hush", "12?hush", "12?x=hush", "12#34hush", "[hush", "hu\u2100sh"]
)
def test_a_password_that_cuts_the_url_is_refused_and_not_shown(password: str) -> None:
    """Nor any part of it; written with percent signs it is one."""
    with pytest.raises(ConfigError) as raised:
        Store(f"clickhouse://otel:{password}@host:8123/db")
    said = str(raised.value)
    assert said.startswith("Store clickhouse://otel:***@host:8123/db is not a store: ")
    assert "written %2F" in said
    assert "sh@" not in said
    assert "hu" not in said
    store = Store(f"clickhouse://otel:{quote(password, safe='')}@host:8123/db")
    assert (store.user, store.password, store.host, store.port) == ("otel", password, "host", 8123)
    assert store.name == "clickhouse://otel:***@host:8123/db"


@pytest.mark.parametrize("url", ["otel:hush@host/db", "clickhouse:/otel:hush@host", "postgres://otel:hush@host:1/db"])
def test_what_is_no_store_s_url_does_not_show_its_password_either(url: str) -> None:
    """One sentence, whatever it is."""
    with pytest.raises(ConfigError, match=r":\*\*\*@host\S* is not a store") as raised:
        Store(url)
    assert "hush" not in str(raised.value)


def test_a_store_that_another_process_has_open_is_refused_with_its_number(tmp_path: Path) -> None:
    """Also where the engine's file about its process is of one that was killed: only a lock counts."""
    (tmp_path / "status").write_text("PID: 1\n")
    url = f"chdb://{tmp_path}"
    code = (
        f"from otel_llm_collector.clickhouse.store import Store; store = Store('{url}'); "
        "print(store.rows('SELECT 1 AS one'), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "[{'one': 1}]\n"
        done = otel_llm("migrate", "--store", url)
        other.kill()
    assert sentence(done) == f"Process {other.pid} already uses the store {tmp_path}; stop it."
    assert otel_llm("migrate", "--store", url).stdout.startswith(f"{url}: applied traces, ")


def test_the_engine_keeps_freed_memory_for_a_second(tmp_path: Path) -> None:
    """Of its allocator's own settings; what is set in the environment goes before, and stays as it was."""
    code = (
        f"import os; from otel_llm_collector.clickhouse.store import Store; store = Store('chdb://{tmp_path}'); "
        "print(store.rows('SELECT stats FROM system.jemalloc_stats')[0]['stats'], os.environ.get('JE_MALLOC_CONF'))"
    )
    for own, kept in ((None, 1000), ("dirty_decay_ms:700", 700)):
        environ = {**os.environ, "JE_MALLOC_CONF": own} if own else dict(os.environ)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
        assert f"opt.dirty_decay_ms: {kept} " in done.stdout
        assert done.stdout.rstrip().endswith(str(own))


def test_a_command_says_in_its_own_words_why_a_server_cannot_be_asked() -> None:
    """One sentence, without what the client logs of it."""
    done = otel_llm("migrate", "--store", f"clickhouse://otel:hush@127.0.0.1:{free_port()}/db")
    said = sentence(done)
    assert said.count("\n") == 0
    assert said.startswith("ClickHouse at clickhouse://otel:***@127.0.0.1:")


def test_a_server_that_is_too_old_is_refused(server: ClickHouse) -> None:
    """With its version and the one that is needed."""
    server.pretend("25.5.9.1")
    with pytest.raises(CollectorError, match=r"is version 25\.5\.9\.1; otel-llm needs 25\.6 or newer"):
        migrations.migrate(Store(server.url))
    server.pretend("25.6.1.1")
    store = Store(server.url)
    migrations.migrate(store)
    store.close()


def test_an_insert_that_is_repeated_counts_once_whatever_the_server_s_settings(store: Store, tmp_path: Path) -> None:
    """In the table and in those that views fill from it."""
    for setting in ("insert_deduplicate = 0", "deduplicate_insert = 'disable'", "async_insert = 1",
                    "deduplicate_blocks_in_dependent_materialized_views = 0"):  # fmt: skip
        store.command(f"SET {setting}")
    path = tmp_path / "rows"
    path.write_text('{"TraceId": "a", "SpanAttributes": {"gen_ai.operation.name": "chat"}}')
    for token in ("1", "1", "2"):
        store.insert_file("otel_traces", path, "JSONEachRow", {"insert_deduplication_token": token})
    counted = store.rows("SELECT (SELECT count() FROM otel_traces) AS spans, sum(calls) AS calls FROM llm_calls_hourly")
    assert counted == [{"spans": 2, "calls": 2}]


def test_a_folder_with_somebody_s_configuration(tmp_path: Path) -> None:
    """The engine reads a config.xml of the working directory when it is imported; ours is opened elsewhere."""
    (tmp_path / "config.xml").write_text("not a configuration")
    code = (
        "from otel_llm_collector.clickhouse.store import Store; import os; before = os.getcwd(); "
        f"store = Store('chdb://{tmp_path}/store'); print(store.rows('SELECT 1 AS one'), os.getcwd() == before)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "[{'one': 1}] True\n", done.stderr


def test_a_server_over_tls() -> None:
    """Its port is another, and its authority may be named."""
    store = Store("clickhouses://default:p@host/otel?ca_cert=/etc/ca.pem")
    assert (store.host, store.port, store.database) == ("host", 8443, "otel")
    assert Store("clickhouses://host:9440").port == 9440
