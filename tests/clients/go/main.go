// Asks a collector's SQL endpoint what Grafana's ClickHouse plugin asks: through clickhouse-go, over HTTP.
//
// go run . <host:port>; tools/clients.py starts a collector with the spans that are expected here.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/shopspring/decimal"
)

var start = time.Unix(1790000000, 123456789).UTC()

type check struct {
	name string
	run  func(db *sql.DB) error
}

var checks = []check{
	{"ping and version", version},
	{"databases, tables and columns", schema},
	{"functions and columns for completion", completion},
	{"parameters", parameters},
	{"typed columns of otel_traces", traces},
	{"typed columns of llm_calls", calls},
	{"every kind of column", kinds},
	{"a dashboard's time series", series},
	{"an answer of many blocks", blocks},
	{"an answer without rows", empty},
	{"errors with their numbers", failures},
	{"a question that is given up", cancelled},
}

func main() {
	methods := map[string]clickhouse.CompressionMethod{
		"none": clickhouse.CompressionNone, "gzip": clickhouse.CompressionGZIP, "deflate": clickhouse.CompressionDeflate,
		"lz4": clickhouse.CompressionLZ4, "zstd": clickhouse.CompressionZSTD, "br": clickhouse.CompressionBrotli,
	}
	passed, failed := 0, 0
	for name, method := range methods {
		db := clickhouse.OpenDB(&clickhouse.Options{
			Addr:        []string{os.Args[1]},
			Protocol:    clickhouse.HTTP,
			Auth:        clickhouse.Auth{Database: "default", Username: "default"},
			Compression: &clickhouse.Compression{Method: method, Level: 1},
			DialTimeout: 10 * time.Second,
			ReadTimeout: 60 * time.Second,
			Settings:    clickhouse.Settings{"max_execution_time": 60},
		})
		for _, check := range checks {
			if err := check.run(db); err != nil {
				failed++
				fmt.Printf("not ok  clickhouse-go, %s: %s: %v\n", name, check.name, err)
			} else {
				passed++
				fmt.Printf("ok      clickhouse-go, %s: %s\n", name, check.name)
			}
		}
		db.Close()
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}

func same(got, want any) error {
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%#v, not %#v", got, want)
	}
	return nil
}

func strs(db *sql.DB, query string, args ...any) ([]string, error) {
	rows, err := db.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var found []string
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return nil, err
		}
		found = append(found, fmt.Sprint(*(values[0].(*any))))
	}
	return found, rows.Err()
}

func version(db *sql.DB) error {
	if err := db.Ping(); err != nil {
		return err
	}
	var text string
	if err := db.QueryRow("SELECT version()").Scan(&text); err != nil {
		return err
	}
	if strings.Count(text, ".") < 2 {
		return fmt.Errorf("version %q", text)
	}
	return nil
}

func schema(db *sql.DB) error {
	for query, wanted := range map[string]string{
		`SHOW DATABASES`:                                  "default",
		`SHOW TABLES FROM "default"`:                      "llm_calls",
		`SHOW TABLES`:                                     "otel_traces",
		`DESC TABLE "default"."llm_calls"`:                "cost_total",
		`SELECT name FROM system.databases ORDER BY name`: "default",
		`SELECT name FROM system.tables WHERE database = 'default' ORDER BY name`:            "otel_traces",
		`SELECT name FROM system.columns WHERE database = 'default' AND table = 'llm_calls'`: "tags",
	} {
		found, err := strs(db, query)
		if err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		if !strings.Contains("\n"+strings.Join(found, "\n")+"\n", "\n"+wanted+"\n") {
			return fmt.Errorf("%s: no %s in %v", query, wanted, found)
		}
	}
	return nil
}

func completion(db *sql.DB) error {
	functions, err := strs(db, "SELECT name FROM system.functions WHERE is_aggregate = 0 ORDER BY name")
	if err != nil || len(functions) < 500 {
		return fmt.Errorf("%d functions: %w", len(functions), err)
	}
	_, err = strs(db, "SELECT name, type, table FROM system.columns WHERE database IN ('default')")
	return err
}

func parameters(db *sql.DB) error {
	text := "it's a \\ back\tslash\nand {x:String} ?"
	var a string
	var b int64
	if err := db.QueryRow("SELECT ?, toInt64(?)", text, -7).Scan(&a, &b); err != nil {
		return err
	}
	if err := errors.Join(same(a, text), same(b, int64(-7))); err != nil {
		return err
	}
	var list []string
	err := db.QueryRow("SELECT {text:String}, {list:Array(String)}",
		clickhouse.Named("text", text), clickhouse.Named("list", []string{"a'b", "c"})).Scan(&a, &list)
	if err != nil {
		return err
	}
	return errors.Join(same(a, text), same(list, []string{"a'b", "c"}))
}

func traces(db *sql.DB) error {
	var (
		timestamp, at     time.Time
		id, kind, service string
		attributes        map[string]string
		duration          uint64
		names             []string
		times             []time.Time
		events            []map[string]string
	)
	err := db.QueryRow("SELECT Timestamp, TraceId, SpanKind, ServiceName, SpanAttributes, Duration, `Events.Name`, "+
		"`Events.Timestamp`, `Events.Attributes`, toDateTime(Timestamp) FROM otel_traces WHERE SpanAttributes['n'] = '1'").
		Scan(&timestamp, &id, &kind, &service, &attributes, &duration, &names, &times, &events, &at)
	if err != nil {
		return err
	}
	return errors.Join(
		same(timestamp.UTC(), start), same(id, strings.Repeat("01", 16)), same(kind, "Client"), same(service, "clients"),
		same(attributes["gen_ai.request.model"], "gpt"), same(duration, uint64(1500000000)), same(names, []string{"said"}),
		same(times[0].UTC(), start), same(events, []map[string]string{{"a": "b"}}), same(at.UTC(), start.Truncate(time.Second)),
	)
}

func calls(db *sql.DB) error {
	rows, err := db.Query("SELECT start_time, duration_s, provider, request_model, tags, metadata, input_tokens, output_tokens, " +
		"cost_total, is_stream, retry_count, was_successful FROM llm_calls WHERE service_name = 'clients' ORDER BY start_time")
	if err != nil {
		return err
	}
	defer rows.Close()
	count := 0
	for rows.Next() {
		var (
			began           time.Time
			seconds         float64
			provider, model string
			tags            []string
			metadata        map[string]string
			input, output   *uint64
			cost            *decimal.Decimal
			stream          bool
			retries         uint8
			good            *bool
		)
		err := rows.Scan(&began, &seconds, &provider, &model, &tags, &metadata, &input, &output, &cost, &stream, &retries, &good)
		if err != nil {
			return err
		}
		count++
		if count > 1 {
			continue
		}
		if input == nil || cost == nil || output != nil || good != nil {
			return fmt.Errorf("input %v, output %v, cost %v, good %v", input, output, cost, good)
		}
		if err := errors.Join(
			same(began.UTC(), start), same(seconds, 1.5), same(provider, "openai"), same(model, "gpt"),
			same(tags, []string{"a", "b"}), same(metadata, map[string]string{"team": "x"}), same(*input, uint64(12)),
			same(cost.String(), "0.000000123"), same(stream, true), same(retries, uint8(0)),
		); err != nil {
			return err
		}
	}
	return errors.Join(rows.Err(), same(count, 3))
}

func kinds(db *sql.DB) error {
	rows, err := db.Query(`SELECT number, toString(number), toLowCardinality(toString(number % 3)), toFixedString('ab', 2),
		if(number % 2 = 0, NULL, number), range(number), map('k', [number]), (number, 'a'), [(1, 'x')], toDecimal128(1.5, 3),
		toDate('2026-01-02'), toDateTime64('2026-01-02 03:04:05.678', 3, 'Europe/Berlin'), toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'),
		toIPv6('::1'), CAST('b' AS Enum8('a' = 1, 'b' = 2)), true, CAST([NULL, 'x'] AS Array(LowCardinality(Nullable(String)))),
		CAST(map('a', 'b') AS Map(LowCardinality(String), LowCardinality(String))), -1, 0.5, toInt256(7), [[1], [2, 3]]
		FROM numbers(5)`)
	if err != nil {
		return err
	}
	defer rows.Close()
	count := uint64(0)
	for rows.Next() {
		values := make([]any, 22)
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return err
		}
		at := func(i int) any { return *(values[i].(*any)) }
		if err := errors.Join(
			same(at(0), count), same(at(1), fmt.Sprint(count)), same(at(2), fmt.Sprint(count%3)), same(len(at(5).([]uint64)), int(count)),
			same(at(14), "b"), same(at(15), true), same(at(18), int8(-1)), same(at(19), 0.5),
			same(fmt.Sprint(at(21)), "[[1] [2 3]]"), same(at(17), map[string]string{"a": "b"}),
		); err != nil {
			return err
		}
		count++
	}
	return errors.Join(rows.Err(), same(count, uint64(5)))
}

func series(db *sql.DB) error {
	rows, err := db.Query(`SELECT toStartOfInterval(toDateTime(Timestamp), INTERVAL 60 second) AS time, ServiceName, count(), avg(Duration)
		FROM otel_traces WHERE (Timestamp >= toDateTime(1789990000) AND Timestamp <= toDateTime(1790010000)) AND ServiceName = 'clients'
		GROUP BY time, ServiceName ORDER BY time ASC LIMIT 1000`)
	if err != nil {
		return err
	}
	defer rows.Close()
	total := uint64(0)
	for rows.Next() {
		var at time.Time
		var service string
		var count uint64
		var mean float64
		if err := rows.Scan(&at, &service, &count, &mean); err != nil {
			return err
		}
		total += count
	}
	return errors.Join(rows.Err(), same(total, uint64(4)))
}

func blocks(db *sql.DB) error {
	rows, err := db.Query("SELECT number, toString(number), repeat('x', number % 300) FROM numbers(200000)")
	if err != nil {
		return err
	}
	defer rows.Close()
	sum, size := uint64(0), 0
	for rows.Next() {
		var number uint64
		var text, long string
		if err := rows.Scan(&number, &text, &long); err != nil {
			return err
		}
		if text != fmt.Sprint(number) {
			return fmt.Errorf("%s beside %d", text, number)
		}
		sum += number
		size += len(long)
	}
	return errors.Join(rows.Err(), same(sum, uint64(199999*100000)), same(size, 29890000))
}

func empty(db *sql.DB) error {
	found, err := strs(db, "SELECT ServiceName FROM otel_traces WHERE ServiceName = 'nobody'")
	if err != nil {
		return err
	}
	return same(len(found), 0)
}

func failures(db *sql.DB) error {
	for query, code := range map[string]int32{
		"SELECT nosuch FROM llm_calls":                  47,
		"SELECT * FROM nosuchtable":                     60,
		"SELECT * FROM system.users":                    497,
		"SELECT file('/etc/passwd')":                    497,
		"SELECT number FROM numbers(100000000)":         396,
		"SELECT throwIf":                                497,
		"DROP TABLE llm_calls":                          164,
		"INSERT INTO llm_calls (trace_id) VALUES ('x')": 164,
	} {
		_, err := strs(db, query)
		var exception *clickhouse.Exception
		if !errors.As(err, &exception) {
			return fmt.Errorf("%s: %v is no exception of ClickHouse", query, err)
		}
		if exception.Code != code {
			return fmt.Errorf("%s: %d (%s), not %d", query, exception.Code, exception.Message, code)
		}
	}
	return nil
}

func cancelled(db *sql.DB) error {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	rows, err := db.QueryContext(ctx, "SELECT count() FROM numbers(1000000000000)")
	if err == nil {
		rows.Close()
		return errors.New("it was answered")
	}
	return db.Ping()
}
