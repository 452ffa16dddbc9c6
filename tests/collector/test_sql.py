"""Read-only SQL: what it answers, and what it must never."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from otel_llm_collector.client import Reader
from otel_llm_collector.errors import CollectorError
from tests.support.collector import Handle, send, start_collector


@pytest.fixture(scope="module")
def reader(collector: Handle) -> Iterator[Reader]:
    with Reader.open(collector.data) as reader:
        yield reader


ANSWERED = """
SELECT 1
SELECT 1; -- the end
/* why */ SELECT 'a;b' AS `semi;colon`, "x" FROM (SELECT 2 AS x)
(SELECT 1) UNION ALL (SELECT 2)
SELECT number FROM numbers(3) WHERE number IN (SELECT 1) OR number IN (1, 2)
WITH calls AS (SELECT * FROM llm_calls) SELECT count(*), Count(), uniqExact(trace_id), any(tags) FROM calls
WITH a AS (SELECT 1 AS x) SELECT * FROM a WHERE x IN a
SELECT quantileTDigestIf(0.9)(duration_s, is_stream), avgOrNull(duration_s), argMax(trace_id, start_time), \
sumMergeIf(s, 1) FROM (SELECT duration_s, is_stream, trace_id, start_time, sumState(1) AS s FROM llm_calls GROUP BY ALL)
SELECT toStartOfHour(start_time) AS hour, sum(cost_total) FROM llm_calls GROUP BY hour \
ORDER BY hour WITH FILL STEP INTERVAL 1 HOUR
SELECT date_trunc('hour', now()), now() - INTERVAL 1 DAY, extract(year FROM today()), '2026-01-01'::Date
SELECT CASE WHEN 1 THEN 'a' ELSE 'b' END, 1 ? 2 : 3, [1, 2][1], (1, 2).1, map('a', 1)['a'], NOT 1, 1 BETWEEN 0 AND 2
SELECT arrayMap(x -> x + 1, [1]), arrayMap(upper, ['a']), JSONExtractString('{"a":"b"}', 'a'), COALESCE(NULL, 1)
SELECT row_number() OVER (PARTITION BY provider ORDER BY start_time), lagInFrame(cost_total) OVER () FROM llm_calls
SELECT c.trace_id, t.SpanName FROM llm_calls AS c LEFT JOIN otel_traces AS t ON t.SpanId = c.span_id
SELECT tag FROM llm_calls ARRAY JOIN tags AS tag
SELECT * EXCEPT (attributes) REPLACE (upper(provider) AS provider) FROM llm_calls LIMIT 1
SELECT COLUMNS('tokens') FROM llm_calls LIMIT 1
SELECT studentTTest(duration_s, is_stream) FROM llm_calls
SELECT if(grouping(provider) = 1, 'all', provider) FROM llm_calls GROUP BY GROUPING SETS ((provider), ())
SELECT 1 WHERE EXISTS (SELECT 1)
SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'llm_calls'
SELECT count() FROM default.otel_traces
SELECT arrayReduce('quantilesExact(0.5, 0.9)', [1, 2]), arrayReduce('uniqIf', [1], [1])
SELECT finalizeAggregation(initializeAggregation('sumState', 1))
SELECT * FROM (VALUES ('a', 1))
DESCRIBE llm_calls
SHOW TABLES
SHOW TABLES LIKE 'llm%'
SHOW CREATE TABLE llm_calls_hourly
EXISTS TABLE llm_calls
"""


@pytest.mark.parametrize("sql", ANSWERED.strip().splitlines())
def test_ordinary_questions_are_answered(reader: Reader, sql: str) -> None:
    """What people, Grafana and our own queries ask."""
    answer = json.loads(reader.raw(sql, "JSON"))
    assert len(answer["data"]) == answer["rows"]
    assert answer["meta"]


REFUSED = """
SELECT file('/etc/passwd')
SELECT FILE('/etc/passwd')
SELECT `file`('/etc/passwd')
SELECT * FROM file('/etc/passwd')
SELECT * FROM file('/etc/passwd', 'LineAsString')
DESCRIBE file('/etc/passwd')
SELECT arrayMap(file, ['/etc/passwd'])
SELECT arrayMap(x -> file(x), ['/etc/passwd'])
WITH file AS f SELECT arrayMap(f, ['/etc/passwd'])
SELECT * APPLY(file) FROM (SELECT '/etc/passwd')
SELECT * APPLY(x -> file(x)) FROM (SELECT '/etc/passwd')
SELECT * REPLACE (file('/etc/passwd') AS trace_id) FROM llm_calls
SELECT 1 ORDER BY file('/etc/passwd')
SELECT 1 LIMIT length(file('/etc/passwd'))
SELECT 1 WHERE 1 IN (SELECT file('/etc/passwd'))
SELECT (SELECT file('/etc/passwd'))
SELECT if(0, file('/etc/passwd'), 1)
SELECT sum(1) OVER (PARTITION BY file('/etc/passwd'))
SELECT 1 AS x HAVING file('/etc/passwd') != ''
SELECT 1 UNION ALL SELECT length(file('/etc/passwd'))
SELECT 1 INTO OUTFILE '{out}'
SELECT 1 INTO OUTFILE '{out}' FORMAT CSV
SELECT 1 FORMAT CSV INTO OUTFILE '{out}'
(SELECT 1) UNION ALL (SELECT 2) INTO OUTFILE '{out}' TRUNCATE
SELECT 1 SETTINGS max_execution_time = 0
SELECT * FROM (SELECT 1 SETTINGS readonly = 0)
SET readonly = 0
SELECT 1; DROP TABLE llm_calls
SELECT 1 PARALLEL WITH DROP TABLE llm_calls
DROP TABLE llm_calls
TRUNCATE TABLE llm_calls
ALTER TABLE llm_calls DELETE WHERE 1
OPTIMIZE TABLE llm_calls
INSERT INTO llm_calls (trace_id) VALUES ('x')
INSERT INTO FUNCTION file('{out}') SELECT 1
CREATE TABLE x (a UInt8) ENGINE = Memory
CREATE FUNCTION x AS (a) -> a
CREATE TEMPORARY TABLE x AS SELECT 1
ATTACH TABLE x FROM '/tmp' (a UInt8) ENGINE = Memory
KILL QUERY WHERE 1
SYSTEM FLUSH LOGS
SYSTEM SHUTDOWN
USE system
GRANT ALL ON *.* TO default
BACKUP TABLE llm_calls TO File('{out}')
EXPLAIN SELECT 1
EXPLAIN QUERY TREE SELECT file('/etc/passwd')
SHOW PROCESSLIST
SHOW GRANTS
SHOW CREATE TABLE system.users
SELECT * FROM system.users
SELECT * FROM system.query_log
SELECT * FROM `system`.`processes`
SELECT 1 IN system.users
SELECT 1 WHERE 'default' IN system.users
SELECT 1 AS x, x GLOBAL NOT IN system.users
SELECT * FROM merge('system', '.*')
SELECT * FROM url('http://127.0.0.1:1/')
SELECT * FROM remote('127.0.0.1:1', system.one)
SELECT * FROM cluster('x', system.one)
SELECT * FROM s3('http://127.0.0.1:1/x')
SELECT * FROM executable('id', 'TSV', 'a String')
SELECT * FROM python(x)
SELECT * FROM sqlite('/tmp/x', 'y')
SELECT * FROM loop(system.one)
SELECT * FROM view(SELECT file('/etc/passwd'))
SELECT * FROM viewExplain('EXPLAIN', '', (SELECT 1))
SELECT * FROM generateRandom('a UInt8')
SELECT hasColumnInTable('127.0.0.1:1', 'a', 'b', 'c')
SELECT joinGet('system.one', 'dummy', 1)
SELECT dictGet('a', 'b', 1)
SELECT sleep(3)
SELECT sleepEachRow(3)
SELECT getSetting('readonly')
SELECT hostName(), FQDN(), currentUser()
SELECT showCertificate()
SELECT addressToLine(1)
SELECT AIGenerate('x')
SELECT nosuchfunction(1)
SELECT kolmogorovSmirnovTest('two-sided', 'exact')(1, 1)
SELECT kolmogorovSmirnovTestIf('two-sided', 'exact')(1, 1, 1)
SELECT arrayReduce('kolmogorovSmirnovTest', [1, 2], [0, 1])
SELECT arrayReduce('sumForEach'||'', [[1]])
SELECT arrayReduce(concat('su', 'm'), [1])
SELECT arrayMap(arrayReduce, ['sum'], [[1]])
SELECT initializeAggregation('groupFormatState', 1)
SELECT arrayReduceInRanges('sum', [(1, 2)], [1, 2])
SELECT seriesDecomposeSTL([1, 2, 1, 2, 1, 2, 1, 2], 2)
SELECT hierarchicalKMeans(2, 2, 2, 4)([1.0])
SELECT corrMatrix(1, 2)
SELECT groupFormat('CSV')(1)
SELECT flameGraph([1])
SELECT estimateCompressionRatio(1)
SELECT aggThrow(1)(1)
SELECT ST_AsMVT('x')(1)
SELECT printf('%9d', 1)
SELECT * FROM INFORMATION_SCHEMA.nosuch
SHOW TABLES FROM otherdatabase
"""


@pytest.mark.parametrize("sql", REFUSED.strip().splitlines())
def test_everything_else_is_refused(reader: Reader, tmp_path: Path, sql: str) -> None:
    """In a sentence, and without any effect."""
    out = tmp_path / "out"
    text = sql.format(out=out) if "{out}" in sql else sql
    with pytest.raises(CollectorError) as raised:
        reader.raw(text)
    assert "root:" not in str(raised.value)
    assert not out.exists()
    assert reader.query("EXISTS TABLE llm_calls") == [{"result": 1}]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT file('/etc/passwd')", "Function file is not known, or not allowed here."),
        ("SELECT arrayMap(file, ['x'])", "The name file is that of a function which is not allowed here."),
        ("SELECT * FROM url('http://x')", "Table function url is not allowed here."),
        ("SELECT * FROM system.users", "Table system.users is not allowed here: only tables of default can be read."),
        ("SELECT 1 SETTINGS a = 1", "Set is not allowed here: this endpoint answers SELECT only."),
        ("DROP TABLE llm_calls", "This endpoint answers SELECT, DESCRIBE, SHOW and EXISTS only."),
        ("SELEC 1", "Code: 62. DB::Exception: Syntax error"),
        ("SELECT * FROM nosuchtable", "Code: 60. DB::Exception: Unknown table expression identifier 'nosuchtable'"),
        (
            "SELECT arrayReduce(upper('x'), [1])",
            "arrayReduce is allowed here with the name of a function that is written",
        ),
        ("SELECT arrayReduce('aggThrow', [1])", "Function aggThrow is not known, or not allowed here."),
        (f"SELECT quantiles({', '.join(['0.5'] * 101)})(1)", "More than 100 parameters of quantiles are not allowed"),
        (
            f"SELECT arrayReduce('quantiles({', '.join(['0.5'] * 101)})', [1])",
            "More than 100 parameters of arrayReduce are not allowed here.",
        ),
        ("SELECT repeat('a', 1000) FROM numbers(300000)", "the answer has more than 256 MiB as JSON."),
        ("SELECT {a:UInt8}", "Code: 456. DB::Exception: Substitution `a` is not set"),
        ("  ", "The statement is empty."),
    ],
)
def test_refusals_say_what_is_wrong(reader: Reader, sql: str, words: str) -> None:
    """Ours by name, ClickHouse's with its code."""
    with pytest.raises(CollectorError) as raised:
        reader.raw(sql)
    assert words in str(raised.value)


def test_parameters_are_values_never_text(reader: Reader) -> None:
    """Of every type, whatever they contain; a table's name given so is checked as any other."""
    given = {
        "text": "it's \\ a\ttab\nand {a:b} %(x)s",
        "list": ["a'b", "c\\"],
        "n": 7,
        "f": 0.5,
        "no": None,
        "yes": True,
    }
    assert reader.query(
        "SELECT {text:String} AS text, {list:Array(String)} AS list, {n:UInt8} AS n, {f:Float64} AS f, "
        "{no:Nullable(String)} AS no, {yes:Bool} AS yes, 'a%b' AS percent",
        given,
    ) == [{**given, "percent": "a%b"}]
    assert reader.query("SELECT count() AS n FROM {d:Identifier}.{t:Identifier}", {"d": "system", "t": "one"}) == [
        {"n": 1}
    ]
    with pytest.raises(CollectorError, match=r"Table system\.users is not allowed"):
        reader.query("SELECT * FROM {d:Identifier}.{t:Identifier}", {"d": "system", "t": "users"})
    with pytest.raises(CollectorError, match="Code: "):
        reader.query("SELECT '{t:', %(t)s", {"t": "1) FROM system.users --"})


@pytest.mark.parametrize(
    "name",
    [
        "TSV; SELECT file('/etc/passwd')",
        "TSV; SELECT 1 INTO OUTFILE '{out}'",
        "CSV SETTINGS max_execution_time = 0",
        "TSV--",
    ],
)
def test_a_format_is_a_name_and_nothing_more(collector: Handle, reader: Reader, tmp_path: Path, name: str) -> None:
    """The client puts it behind the statement, where anything else would be SQL that nobody has looked at."""
    out = tmp_path / "out"
    name = name.format(out=out)
    for statement in ("SELECT 1", "SHOW TABLES"):
        code, _, answer = send(
            "POST", f"{collector.api}/?{urlencode({'default_format': name}, safe='')}", statement.encode()
        )
        assert code == 404
        assert answer.partition(b" is not the name of a format")[0].decode() == f"Code: 73. DB::Exception: {name!r}"
        with pytest.raises(CollectorError, match="is not the name of a format"):
            reader.raw(statement, name)
    assert not out.exists()


def test_numbers_are_numbers(reader: Reader) -> None:
    """Wide integers and decimals too."""
    assert reader.query("SELECT 18446744073709551615 AS wide, toDecimal64('0.5', 3) AS money") == [
        {"wide": 2**64 - 1, "money": 0.5}
    ]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    handle = start_collector(
        tmp_path_factory.mktemp("strict"), query_seconds=1, query_rows=100, query_memory_bytes=50_000_000
    )
    yield handle
    handle.stop()


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT count() FROM numbers(1000000000000)", "Timeout exceeded"),
        ("SELECT number FROM numbers(101)", "Limit for result exceeded"),
        ("SELECT groupArray(number) FROM numbers(100000000)", "memory limit"),
    ],
)
def test_limits(strict: Handle, sql: str, words: str) -> None:
    """Time, rows and memory; the next question is answered."""
    with pytest.raises(CollectorError) as raised:
        strict.query(sql)
    assert words.lower() in str(raised.value).lower()
    assert strict.query("SELECT 1 AS a") == [{"a": 1}]


def test_questions_at_the_same_time_get_their_own_answers(collector: Handle) -> None:
    """A handle that threads share would hand one the other's rows."""
    import threading

    wrong: list[object] = []

    def work(number: int) -> None:
        for _ in range(20):
            rows = collector.query("SELECT {n:UInt32} AS n FROM numbers(10)", n=number)
            if rows != [{"n": number}] * 10:
                wrong.append(rows)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
