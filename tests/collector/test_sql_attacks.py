"""Attempts to read files, to write them, to reach the network or to keep the collector busy, through SQL."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.collector import Handle, send
from tests.support.questions import ENDLESS, ask, form

LOOT = b"gold and silver"


class Trap:
    """A file that must not be read, a place that must not be written to and a port that must not be reached."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loot = folder / "loot.csv"
        self.loot.write_bytes(LOOT)
        self.out = folder / "out"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def fill(self, text: str) -> str:
        """A statement with their names in it."""
        named = text.replace("{loot}", str(self.loot)).replace("{out}", str(self.out))
        return named.replace("{port}", str(self.port)).replace("{folder}", str(self.folder))

    def untouched(self) -> bool:
        self._listener.setblocking(False)
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return sorted(self.folder.iterdir()) == [self.loot]
        return False

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    trap = Trap(tmp_path)
    yield trap
    trap.close()


# In the embedded engine a table that it does not have is a file; LICENSE is one in the folder of the tests' collectors.
ATTACKS = r"""
SELECT * FROM `{loot}`
SELECT * FROM "{loot}"
SELECT * FROM '{loot}'
SELECT * FROM default.`{loot}`
SELECT * FROM `default`.`{loot}`
SELECT * FROM $${loot}$$
SELECT * FROM LICENSE
SELECT * FROM default.LICENSE
SELECT count() FROM LICENSE AS otel_traces
WITH LICENSE AS (SELECT 1) SELECT * FROM LICENSE
SELECT * FROM (WITH LICENSE AS (SELECT 1 AS a) SELECT * FROM LICENSE) AS a CROSS JOIN LICENSE
SELECT 'x' IN LICENSE
SELECT 'x' IN (LICENSE)
SELECT in('x', LICENSE)
SELECT 'x' GLOBAL NOT IN default.LICENSE
SELECT 'x' IN `{loot}`
WITH 'x' AS LICENSE SELECT 'x' IN LICENSE
SELECT arrayMap(x -> x IN LICENSE, ['x'])
SELECT (SELECT * FROM LICENSE LIMIT 1)
DESCRIBE LICENSE
DESCRIBE TABLE `{loot}`
DESCRIBE (SELECT * FROM LICENSE)
EXISTS TABLE LICENSE
SHOW CREATE TABLE LICENSE
SHOW COLUMNS FROM LICENSE
SHOW COLUMNS FROM `{loot}`
SELECT * FROM file('{loot}')
SELECT * FROM File('{loot}', 'LineAsString')
SELECT * FROM `file`('{loot}', LineAsString)
SELECT * FROM fileCluster('x', '{loot}')
SELECT * FROM filesystem('{folder}')
SELECT file('{loot}')
SELECT fIlE('{loot}')
SELECT `file`('{loot}')
SELECT "file"('{loot}')
SELECT /**/file/**/('{loot}')
SELECT file/* */ ('{loot}')
SELECT 1 AS `a', file('` , file('{loot}')
SELECT '\'', file('{loot}'), '\''
SELECT if(1, file('{loot}'), '')
SELECT * FROM numbers(length(file('{loot}')))
SELECT * FROM numbers(1) WHERE file('{loot}') != ''
SELECT * FROM values('a String', (file('{loot}')))
SELECT arrayFilter(file, ['{loot}'])
SELECT arrayMap((x) -> (file(x)), ['{loot}'])
WITH x -> file(x) AS f SELECT f('{loot}')
WITH file('{loot}') AS f SELECT f
SELECT max(file('{loot}')) OVER ()
SELECT sumIf(1, file('{loot}') != '')
SELECT count() FILTER (WHERE file('{loot}') != '')
SELECT 1 LIMIT 1 BY file('{loot}')
SELECT 1 GROUP BY file('{loot}') WITH TOTALS
SELECT 1 QUALIFY file('{loot}') != ''
SELECT 1 ORDER BY 1 WITH FILL FROM length(file('{loot}'))
SELECT 1 AS x ORDER BY x WITH FILL INTERPOLATE (x AS file('{loot}'))
SELECT * FROM numbers(1) AS a JOIN numbers(1) AS b ON file('{loot}') = ''
SELECT * FROM numbers(1) ARRAY JOIN [file('{loot}')] AS x
SELECT 1 UNION DISTINCT SELECT length(file('{loot}'))
SELECT 1 INTERSECT SELECT length(file('{loot}'))
SELECT EXISTS(SELECT file('{loot}'))
SELECT CAST(file('{loot}') AS String)
SELECT INTERVAL length(file('{loot}')) DAY
SELECT CASE WHEN file('{loot}') = '' THEN 1 END
SELECT {x:String} FROM file('{loot}')
SELECT COLUMNS('x') APPLY(file) FROM (SELECT '{loot}' AS x)
SELECT * REPLACE(file(x) AS x) FROM (SELECT '{loot}' AS x)
SELECT * FROM url('http://127.0.0.1:{port}/', 'LineAsString')
SELECT * FROM urlCluster('x', 'http://127.0.0.1:{port}/')
SELECT * FROM remote('127.0.0.1:{port}', 'system', 'one')
SELECT * FROM remoteSecure('127.0.0.1:{port}', 'system', 'one')
SELECT * FROM cluster('default', 'system', 'one')
SELECT * FROM clusterAllReplicas('default', 'system', 'one')
SELECT * FROM s3('http://127.0.0.1:{port}/x.csv')
SELECT * FROM gcs('http://127.0.0.1:{port}/x.csv')
SELECT * FROM azureBlobStorage('http://127.0.0.1:{port}/', 'x', 'x', 'x', 'x')
SELECT * FROM hdfs('hdfs://127.0.0.1:{port}/x', 'CSV')
SELECT * FROM mysql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')
SELECT * FROM postgresql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')
SELECT * FROM mongodb('127.0.0.1:{port}', 'a', 'b', 'c', 'd', 'x String')
SELECT * FROM redis('127.0.0.1:{port}', 'a', 'a String')
SELECT * FROM jdbc('jdbc:x', 'a', 'b')
SELECT * FROM odbc('DSN=x', 'a', 'b')
SELECT * FROM sqlite('{loot}', 'a')
SELECT * FROM iceberg('http://127.0.0.1:{port}/x')
SELECT * FROM icebergLocal('{folder}')
SELECT * FROM deltaLake('http://127.0.0.1:{port}/x')
SELECT * FROM deltaLakeLocal('{folder}')
SELECT * FROM hudi('http://127.0.0.1:{port}/x')
SELECT * FROM executable('cat {loot}', 'TSV', 'a String')
SELECT * FROM python('os')
SELECT * FROM Python(globals)
SELECT * FROM eval('1')
SELECT * FROM input('a String')
SELECT * FROM format(LineAsString, 'x')
SELECT * FROM dictionary('x')
SELECT * FROM view(SELECT file('{loot}'))
SELECT * FROM viewIfPermitted(SELECT 1 ELSE null('a UInt8'))
SELECT * FROM viewExplain('EXPLAIN', '', (SELECT 1))
SELECT * FROM merge('default', '.*')
SELECT * FROM merge('system', 'users|query_log')
SELECT * FROM merge(REGEXP('.*'), '.*')
SELECT * FROM loop('system', 'users')
SELECT * FROM mergeTreeIndex('default', 'llm_calls')
SELECT * FROM mergeTreeParts('default', 'llm_calls')
SELECT * FROM fuzzJSON('x')
SELECT * FROM generateRandom('a String')
SELECT * FROM timeSeriesData('x')
SELECT * FROM arrowFlight('127.0.0.1:{port}', 'x')
SELECT * FROM system.processes
SELECT * FROM system.query_log
SELECT * FROM system.users
SELECT * FROM system.disks
SELECT * FROM system.server_settings
SELECT * FROM system.named_collections
SELECT * FROM system.stack_trace
SELECT * FROM system.detached_parts
SELECT * FROM system.remote_data_paths
SELECT * FROM system.filesystem_cache
SELECT * FROM system.backups
SELECT * FROM SYSTEM.users
SELECT * FROM `system`.`users`
SELECT * FROM "system"."users"
SELECT * FROM otel_llm_system.users
SELECT system.users.name FROM system.users
SELECT 'default' IN system.users
SELECT 1 IN otel_llm_system.processes
SELECT * FROM `system.users`
SHOW CREATE TABLE system.users
SHOW TABLES FROM mysql
SHOW TABLES WHERE file('{loot}') != ''
SHOW DATABASES WHERE file('{loot}') != ''
SHOW TABLES LIKE 'x' INTO OUTFILE '{out}'
SHOW PROCESSLIST
SHOW USERS
SHOW GRANTS
SHOW ACCESS
SHOW MERGES
SHOW DICTIONARIES
SHOW FILESYSTEM CACHES
SHOW SETTING format_schema
EXPLAIN PLAN SELECT file('{loot}')
EXPLAIN AST SELECT 1
EXPLAIN SYNTAX SELECT * FROM file('{loot}')
EXPLAIN TABLE OVERRIDE mysql('127.0.0.1:{port}', 'a', 'b', 'c', 'd') PARTITION BY x
SELECT * FROM (EXPLAIN SELECT 1)
SELECT 1 INTO OUTFILE '{out}'
SELECT 1 INTO OUTFILE '{out}' AND STDOUT FORMAT CSV
SELECT 1 FORMAT TSV INTO OUTFILE '{out}'
(SELECT 1 INTO OUTFILE '{out}')
SELECT * FROM (SELECT 1 INTO OUTFILE '{out}')
SELECT 1) INTO OUTFILE '{out}' FORMAT CSV --
SELECT 1) SETTINGS max_execution_time = 0, x = (1
SELECT 1 SETTINGS readonly = 0
SELECT 1 SETTINGS max_memory_usage = 0 FORMAT CSV
SELECT 1 FORMAT CSV SETTINGS max_result_rows = 0
SELECT * FROM (SELECT 1 SETTINGS allow_ddl = 1)
WITH x AS (SELECT 1 SETTINGS readonly = 0) SELECT * FROM x
DESCRIBE (SELECT 1) SETTINGS readonly = 0
DESCRIBE TABLE llm_calls SETTINGS readonly = 0
SET readonly = 0
SET readonly = 1, max_execution_time = 0
SET max_execution_time = 0
SELECT 1; SELECT 2
SELECT 1;; SELECT 2
SET readonly = 1; SELECT 1
SELECT 1 PARALLEL WITH SELECT 2
EXECUTE AS default SELECT 1
BEGIN TRANSACTION
USE system
SYSTEM RELOAD CONFIG
SYSTEM START LISTEN HTTP
KILL QUERY WHERE 1
KILL QUERY WHERE query_id = 'a' OR 1
KILL MUTATION WHERE 1
CREATE VIEW x AS SELECT 1
CREATE FUNCTION x AS () -> 1
CREATE DICTIONARY x (a UInt8) PRIMARY KEY a SOURCE(FILE(path '{loot}' format 'CSV')) LAYOUT(FLAT()) LIFETIME(1)
CREATE TABLE x ENGINE = File(CSV, '{loot}')
CREATE NAMED COLLECTION x AS a = 1
INSERT INTO FUNCTION file('{out}') SELECT 1
INSERT INTO llm_calls SELECT * FROM llm_calls
INSERT INTO TABLE FUNCTION url('http://127.0.0.1:{port}/', 'CSV', 'a UInt8') VALUES (1)
DELETE FROM llm_calls WHERE 1
UPDATE llm_calls SET trace_id = '' WHERE 1
ALTER TABLE llm_calls DROP PARTITION ALL
RENAME TABLE llm_calls TO x
EXCHANGE TABLES llm_calls AND otel_traces
BACKUP DATABASE default TO File('{out}')
RESTORE DATABASE default FROM File('{loot}')
CHECK TABLE llm_calls
COPY llm_calls TO '{out}'
DROP DATABASE otel_llm_system
DETACH TABLE llm_calls
WATCH x
SELECT joinGet('llm_calls', 'x', 1)
SELECT dictGet('x', 'y', 1)
SELECT dictGetOrNull('x', 'y', 1)
SELECT catboostEvaluate('{loot}', 1)
SELECT evalMLMethod(1)
SELECT getMacro('x')
SELECT getServerSetting('x')
SELECT getClientHTTPHeader('Authorization')
SELECT currentRequestURL()
SELECT queryID()
SELECT buildId()
SELECT tcpPort()
SELECT formatQuery('SELECT 1')
SELECT formatRow('CSV', 1)
SELECT structureToProtobufSchema('a UInt8')
SELECT addressToLine(1)
SELECT regionToName(1)
SELECT lemmatize('en', 'x')
SELECT logTrace('x')
SELECT throwIf(1)
SELECT CAST('x' AS AggregateFunction(sum, UInt64))
SELECT 'x'::AggregateFunction(sum, UInt64)
SELECT CAST('x', concat('Aggregate', 'Function(sum, UInt64)'))
WITH 'AggregateFunction(sum, UInt64)' AS t SELECT CAST('x', t)
SELECT accurateCastOrNull('x', 'Tuple(Enum8(\'(alias \' = 1), AggregateFunction(sum, UInt64))')
SELECT {x:AggregateFunction(sum, UInt64)}
SELECT {x:Tuple(Enum8('}' = 1), AggregateFunction(sum, UInt64))}
SELECT (1 IN LICENSE) AS `a)\n              ExpressionList (children 1)\n               Literal 1`
SELECT 1 AS `a) (children 1)`
SELECT 1 AS `a (alias b)`
SELECT 1 AS `a\tb`
SELECT 1 AS `a\`b`
SELECT 1 FORMAT Template
SELECT 1 FORMAT Protobuf
SELECT 1 FORMAT CapnProto
SELECT 1 FORMAT Avro
SELECT 1 FORMAT Prometheus
SELECT 1 FORMAT MySQLWire
SELECT 1 FORMAT `CSV INTO OUTFILE '{out}'`
"""


@pytest.mark.parametrize("sql", ATTACKS.strip().splitlines())
def test_attacks_are_refused(collector: Handle, trap: Trap, sql: str) -> None:
    """And change nothing; nothing of a file is in the answer."""
    code, headers, answer = ask(collector, trap.fill(sql), param_x="1")
    assert (code != 200, int(headers["X-ClickHouse-Exception-Code"]) > 0) == (True, True)
    assert LOOT not in answer
    assert b"Apache License" not in answer
    assert trap.untouched()
    assert ask(collector, "EXISTS TABLE llm_calls")[2] == b"1\n"


def test_a_line_of_a_text_is_no_line_of_the_tree(collector: Handle, trap: Trap) -> None:
    """Whatever ends lines elsewhere: what follows it is not taken for nodes of their own."""
    for end in ("\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"):
        node = f"x{end}ExpressionList (children 1){end} Literal 1"
        assert ask(collector, f"SELECT length('{node}') > 0")[::2] == (200, b"1\n")
        for name in (f"SELECT 1 AS `{node}`", f"SELECT (1 IN LICENSE) AS `{node}`"):
            answer = ask(collector, name)
            assert (answer[0] in (200, 403), b"Apache" in answer[2]) == (True, False)
        assert ask(collector, f"SELECT (1 IN LICENSE) AS `{node}`")[0] == 403


@pytest.mark.parametrize(
    ("parameters", "sql"),
    [
        ({"t": "LICENSE"}, "SELECT * FROM {t:Identifier}"),
        ({"t": "{loot}"}, "SELECT * FROM {t:Identifier}"),
        ({"d": "default", "t": "{loot}"}, "SELECT * FROM {d:Identifier}.{t:Identifier}"),
        ({"d": "system", "t": "users"}, "SELECT * FROM {d:Identifier}.{t:Identifier}"),
        ({"t": "users"}, "SELECT * FROM system.{t:Identifier}"),
        ({"t": "system.users"}, "SELECT * FROM {t:Identifier}"),
        ({"t": "x` UNION ALL SELECT file('{loot}') --"}, "SELECT * FROM {t:Identifier}"),
        ({"f": "file"}, "SELECT arrayMap({f:Identifier}, ['{loot}'])"),
        ({"x": "1) UNION ALL SELECT file('{loot}')"}, "SELECT {x:UInt8}"),
        ({"x": "{loot}"}, "SELECT file({x:String})"),
        ({"x": "{loot}"}, "SELECT * FROM file({x:String})"),
        ({"x": "AggregateFunction(sum, UInt64)"}, "SELECT CAST('x', {x:String})"),
    ],
)
def test_parameters_are_no_way_around(collector: Handle, trap: Trap, parameters: dict[str, str], sql: str) -> None:
    """Names given by them are looked at as any others."""
    given = {f"param_{name}": trap.fill(value).replace("\n", "\\n") for name, value in parameters.items()}
    code, _, answer = ask(collector, trap.fill(sql), **given)
    assert code != 200
    assert LOOT not in answer
    assert b"Apache License" not in answer
    assert trap.untouched()


def test_forms_are_no_way_around(collector: Handle, trap: Trap) -> None:
    """A statement that is given twice, in pieces, as a file or beside a harmless one is looked at as a whole."""
    evil = trap.fill("SELECT file('{loot}')").encode()
    for fields in (
        [('name="query"', b"SELECT 1"), ('name="query"', evil)],
        [('name="query"', evil), ('name="query"', b"SELECT 1")],
        [('name="query"', b"SELECT 1, "), ('name="query"', evil[7:])],
        [('name="query"; filename="x"', evil)],
        [('name="query"', b"SELECT * FROM t"), ('name="t"; filename="t"', b"1")],
        [('name="query"', b"SELECT 1"), ('name="default_format"', trap.fill("TSV INTO OUTFILE '{out}'").encode())],
        [('name="query"', b"SELECT 1"), ('name="readonly"', b"0")],
        [('name="query"', b"SELECT 1"), ('name="t_structure"', b"a String")],
    ):
        _, _, answer = ask(collector, *form(fields))
        assert LOOT not in answer
        code, _, answer = ask(collector, *form(fields), query=evil.decode())
        assert (code == 200, LOOT in answer) == (False, False)
    assert trap.untouched()


@pytest.mark.parametrize(
    "sql", ["SELECT nosuch('\xff')", "SELECT toUInt8(unhex('ff41'))", "SELECT 1 AS \u00e9, '\x00'"]
)
def test_odd_bytes(collector: Handle, sql: str) -> None:
    """In a statement, in what ClickHouse says about it and in names: an answer or an error, never a crash."""
    code, _, answer = ask(collector, sql)
    assert code in (200, 400, 403)
    assert answer
    assert ask(collector, sql.encode("latin-1", errors="replace"))[0] in (200, 400, 403)


DEEP = {
    "parentheses": ("SELECT ", "(", "1", ")"),
    "arrays": ("SELECT ", "[", "", "]"),
    "subqueries": ("SELECT * FROM ", "(SELECT * FROM ", "numbers(1)", ")"),
    "functions": ("SELECT ", "abs(", "1", ")"),
    "lambdas": ("SELECT ", "arrayMap(x -> ", "x", ", [1])"),
    "sums": ("SELECT 1", "", "", " + 1"),
    "negations": ("SELECT ", "NOT ", "1", ""),
    "casts": ("SELECT 1", "", "", "::UInt8"),
    "types": ("SELECT NULL::", "Array(", "UInt8", ")"),
    "cases": ("SELECT ", "CASE WHEN 1 THEN ", "1", " END"),
    "comments": ("SELECT 1", "/*", "", ""),
    "unions": ("SELECT 1", "", "", " UNION ALL SELECT 1"),
    "names": ("SELECT a", "", "", ".a"),
    "betweens": ("SELECT 1", "", "", " BETWEEN 0 AND 1"),
    "described": ("DESCRIBE ", "(SELECT * FROM ", "numbers(1)", ")"),
    "semicolons": ("SELECT 1", "", "", ";"),
    "zeros": ("SELECT '", "", "", "\0"),
    "blanks": ("SELECT 1", "", "", " "),
    "numbers": ("SELECT ", "", "", "9"),
}


@pytest.mark.parametrize("kind", DEEP)
def test_huge_and_deep_statements(collector: Handle, kind: str) -> None:
    """Are answered or refused, and the next question is answered."""
    start, before, middle, after = DEEP[kind]
    for times in (20, 200, 4000, 1 << 20):
        count = min(times, (1 << 20) // max(1, len(before) + len(after)) - 100)
        code, headers, _ = ask(collector, start + before * count + middle + after * count)
        assert code == 200 or "X-ClickHouse-Exception-Code" in headers
    assert ask(collector, "SELECT 1")[2] == b"1\n"


def test_a_batch_of_long_questions_leaves_the_doors_open(collector: Handle) -> None:
    """While all threads answer, spans are taken and the collector says how it is."""
    threads = [
        threading.Thread(target=ask, args=(collector, ENDLESS), kwargs={"max_execution_time": "2"}) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    assert send("GET", collector.api + "/livez", b"")[0] == 200
    assert json.loads(send("GET", collector.api + "/v1/status", b"")[2])["pid"] == collector.pid
    for thread in threads:
        thread.join()
