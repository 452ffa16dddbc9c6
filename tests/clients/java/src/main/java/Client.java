import java.math.BigDecimal;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;

/**
 * Asks a collector's SQL endpoint what DBeaver asks: through clickhouse-jdbc, over HTTP.
 *
 * <p>java Client host:port; tools/clients.py starts a collector with the spans that are expected here.
 */
public final class Client {
  private static final LocalDateTime START = LocalDateTime.ofEpochSecond(1_790_000_000L, 123_456_789, ZoneOffset.UTC);

  private interface Check {
    void run(Connection connection) throws Exception;
  }

  private static final Map<String, Check> CHECKS = new LinkedHashMap<>();

  static {
    CHECKS.put("version", Client::version);
    CHECKS.put("databases and tables of the metadata", Client::metadata);
    CHECKS.put("columns, keys and types of the metadata", Client::columns);
    CHECKS.put("what DBeaver asks for its tree", Client::tree);
    CHECKS.put("parameters", Client::parameters);
    CHECKS.put("typed columns of otel_traces", Client::traces);
    CHECKS.put("typed columns of llm_calls", Client::calls);
    CHECKS.put("every kind of column", Client::kinds);
    CHECKS.put("an answer of many blocks", Client::blocks);
    CHECKS.put("the first rows of many", Client::firstRows);
    CHECKS.put("an answer without rows", Client::empty);
    CHECKS.put("errors with their numbers", Client::failures);
    CHECKS.put("a question that is cancelled", Client::cancelled);
  }

  public static void main(String[] arguments) throws Exception {
    Map<String, Map<String, String>> ways = new LinkedHashMap<>();
    ways.put("as it comes", Map.of());
    ways.put("uncompressed", Map.of("compress", "false"));
    ways.put("HTTP compression", Map.of("client.use_http_compression", "true"));
    ways.put("parameters in a form", Map.of("client.http.use_form_request_for_query", "true"));
    ways.put("with a session", Map.of("clickhouse_setting_session_id", "sess_1"));
    int passed = 0;
    int failed = 0;
    for (Map.Entry<String, Map<String, String>> way : ways.entrySet()) {
      Properties properties = new Properties();
      properties.putAll(way.getValue());
      properties.put("user", "default");
      String url = "jdbc:clickhouse://" + arguments[0] + "/default";
      for (Map.Entry<String, Check> check : CHECKS.entrySet()) {
        String name = "clickhouse-jdbc, " + way.getKey() + ": " + check.getKey();
        try (Connection connection = DriverManager.getConnection(url, properties)) {
          check.getValue().run(connection);
          passed++;
          System.out.println("ok      " + name);
        } catch (Exception | AssertionError error) {
          failed++;
          System.out.println("not ok  " + name + ": " + error);
        }
      }
    }
    System.out.println(passed + " passed, " + failed + " failed");
    System.exit(failed > 0 ? 1 : 0);
  }

  private static void same(Object got, Object wanted) {
    if (!Objects.deepEquals(got, wanted)) {
      throw new AssertionError(got + ", not " + wanted);
    }
  }

  private static void has(List<String> found, String... wanted) {
    for (String word : wanted) {
      if (!found.contains(word)) {
        throw new AssertionError("no " + word + " in " + found);
      }
    }
  }

  private static List<String> texts(ResultSet rows, String column) throws SQLException {
    List<String> found = new ArrayList<>();
    while (rows.next()) {
      found.add(rows.getString(column));
    }
    return found;
  }

  private static List<String> texts(Connection connection, String sql, String... parameters) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      for (int i = 0; i < parameters.length; i++) {
        statement.setString(i + 1, parameters[i]);
      }
      List<String> found = new ArrayList<>();
      try (ResultSet rows = statement.executeQuery()) {
        while (rows.next()) {
          found.add(rows.getString(1));
        }
      }
      return found;
    }
  }

  private static void version(Connection connection) throws Exception {
    same(connection.isValid(5), true);
    if (connection.getMetaData().getDatabaseMajorVersion() < 25) {
      throw new AssertionError(connection.getMetaData().getDatabaseProductVersion());
    }
    same(texts(connection, "SELECT VERSION()").size(), 1);
  }

  private static void metadata(Connection connection) throws Exception {
    DatabaseMetaData metadata = connection.getMetaData();
    has(texts(metadata.getSchemas(), "TABLE_SCHEM"), "default");
    has(texts(metadata.getTables(null, "default", "%", null), "TABLE_NAME"), "llm_calls", "otel_traces");
    has(texts(metadata.getTables(null, "default", "llm%", new String[] {"TABLE"}), "TABLE_NAME"), "llm_calls");
    metadata.getCatalogs().close();
    has(texts(metadata.getTableTypes(), "TABLE_TYPE"), "TABLE", "VIEW");
  }

  private static void columns(Connection connection) throws Exception {
    DatabaseMetaData metadata = connection.getMetaData();
    List<String> types = new ArrayList<>();
    try (ResultSet rows = metadata.getColumns(null, "default", "llm_calls", "%")) {
      while (rows.next()) {
        types.add(rows.getString("COLUMN_NAME") + " " + rows.getString("TYPE_NAME"));
      }
    }
    has(types, "cost_total Nullable(Decimal(18, 9))", "tags Array(LowCardinality(String))");
    has(texts(metadata.getTypeInfo(), "TYPE_NAME"), "DateTime64", "LowCardinality");
    has(texts(metadata.getPrimaryKeys(null, "default", "llm_calls"), "COLUMN_NAME"), "trace_id");
    metadata.getIndexInfo(null, "default", "llm_calls", false, true).close();
    metadata.getFunctions(null, null, "%").close();
    metadata.getImportedKeys(null, "default", "llm_calls").close();
  }

  private static void tree(Connection connection) throws Exception {
    has(texts(connection, "SHOW DATABASES"), "default");
    has(texts(connection, "SELECT name FROM system.table_engines"), "MergeTree");
    has(
        texts(
            connection,
            "SELECT name as TABLE_NAME, engine as TABLE_TYPE, database as TABLE_SCHEM,comment as REMARKS, * "
                + "FROM system.tables\nWHERE database = ?",
            "default"),
        "llm_calls");
    has(
        texts(
            connection,
            "SELECT name as TABLE_NAME, engine as TABLE_TYPE, database as TABLE_SCHEM,comment as REMARKS, * "
                + "FROM system.tables\nWHERE database = ? and name=?",
            "default",
            "otel_traces"),
        "otel_traces");
    same(
        texts(
                connection,
                "select sum(bytes) as table_size, sum(rows) as table_rows, max(modification_time) as "
                    + "latest_modification,min(min_date) AS min_date,max(max_date) AS max_date,any(engine) as engine\n"
                    + "FROM system.parts\nWHERE database=? AND table=?\nGROUP BY table",
                "default",
                "llm_calls")
            .size(),
        1);
    String made = texts(connection, "SHOW CREATE TABLE `default`.`llm_calls`").get(0);
    if (!made.startsWith("CREATE TABLE default.llm_calls")) {
      throw new AssertionError(made);
    }
    try (Statement statement = connection.createStatement()) {
      statement.execute("SET readonly=1");
    }
  }

  private static void parameters(Connection connection) throws Exception {
    String text = "it's a \\ back\tslash\nand {x:String} ?";
    try (PreparedStatement statement = connection.prepareStatement("SELECT ?, ?, ?, has(?, 'a''b')")) {
      statement.setString(1, text);
      statement.setLong(2, -7);
      statement.setBigDecimal(3, new BigDecimal("1.5"));
      statement.setArray(4, connection.createArrayOf("String", new Object[] {"a'b", "c"}));
      try (ResultSet rows = statement.executeQuery()) {
        rows.next();
        same(rows.getString(1), text);
        same(rows.getLong(2), -7L);
        same(rows.getDouble(3), 1.5);
        same(rows.getInt(4), 1);
      }
    }
    try (PreparedStatement statement =
        connection.prepareStatement("SELECT count() FROM llm_calls WHERE service_name = ? AND start_time > ?")) {
      statement.setString(1, "clients");
      statement.setObject(2, LocalDateTime.of(2020, 1, 1, 0, 0));
      same(statement.getMetaData().getColumnCount(), 1);
      try (ResultSet rows = statement.executeQuery()) {
        rows.next();
        same(rows.getInt(1), 3);
      }
    }
  }

  private static void traces(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT Timestamp, TraceId, SpanKind, ServiceName, SpanAttributes, Duration, `Events.Name`, "
                    + "`Events.Timestamp`, `Events.Attributes` FROM otel_traces WHERE SpanAttributes['n'] = '1'")) {
      rows.next();
      same(
          rows.getObject("Timestamp", ZonedDateTime.class).withZoneSameInstant(ZoneOffset.UTC).toLocalDateTime(), START);
      same(rows.getString("TraceId"), "01".repeat(16));
      same(rows.getString("SpanKind"), "Client");
      same(rows.getString("ServiceName"), "clients");
      same(((Map<?, ?>) rows.getObject("SpanAttributes")).get("gen_ai.request.model"), "gpt");
      same(rows.getLong("Duration"), 1_500_000_000L);
      same(list(rows.getArray("Events.Name")), List.of("said"));
      same(((Object[]) rows.getArray("Events.Timestamp").getArray()).length, 1);
      same(((Map<?, ?>) list(rows.getArray("Events.Attributes")).get(0)).get("a"), "b");
      same(rows.next(), false);
    }
  }

  private static List<Object> list(Array array) throws SQLException {
    return Arrays.asList((Object[]) array.getArray());
  }

  private static void calls(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery("SELECT * FROM llm_calls WHERE service_name = 'clients' ORDER BY start_time")) {
      rows.next();
      same(
          rows.getObject("start_time", ZonedDateTime.class).withZoneSameInstant(ZoneOffset.UTC).toLocalDateTime(), START);
      same(rows.getDouble("duration_s"), 1.5);
      same(rows.getString("provider"), "openai");
      same(rows.getString("request_model"), "gpt");
      same(list(rows.getArray("tags")), List.of("a", "b"));
      same(((Map<?, ?>) rows.getObject("metadata")).get("team"), "x");
      same(rows.getLong("input_tokens"), 12L);
      rows.getLong("output_tokens");
      same(rows.wasNull(), true);
      same(rows.getBigDecimal("cost_total"), new BigDecimal("0.000000123"));
      same(rows.getBoolean("is_stream"), true);
      same(rows.getObject("was_successful"), null);
      same(rows.getInt("retry_count"), 0);
      same(rows.next() && rows.next() && !rows.next(), true);
    }
  }

  private static void kinds(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT number, toString(number), toLowCardinality(toString(number % 3)) AS low, toFixedString('ab', 2),"
                    + " if(number % 2 = 0, NULL, number) AS odd, range(number) AS numbers, map('k', [number]), (number,"
                    + " 'a'), [(1, 'x')], toDecimal128(1.5, 3) AS money, toDate('2026-01-02') AS day,"
                    + " toDateTime64('2026-01-02 03:04:05.678', 3, 'Europe/Berlin'),"
                    + " toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS id, toIPv6('::1'),"
                    + " CAST('b' AS Enum8('a' = 1, 'b' = 2)) AS word, true AS yes, -1 AS minus, 0.5, toInt256(7), [[1],"
                    + " [2, 3]] FROM numbers(5)")) {
      long count = 0;
      while (rows.next()) {
        same(rows.getLong(1), count);
        same(rows.getString(2), String.valueOf(count));
        same(rows.getString("low"), String.valueOf(count % 3));
        same(rows.getObject("odd") == null, count % 2 == 0);
        same(list(rows.getArray("numbers")).size(), (int) count);
        same(rows.getBigDecimal("money"), new BigDecimal("1.500"));
        same(rows.getDate("day").toString(), "2026-01-02");
        same(rows.getString("id"), "61f0c404-5cb3-11e7-907b-a6006ad3dba0");
        same(rows.getString("word"), "b");
        same(rows.getBoolean("yes"), true);
        same(rows.getInt("minus"), -1);
        for (int i = 1; i <= rows.getMetaData().getColumnCount(); i++) {
          rows.getObject(i);
        }
        count++;
      }
      same(count, 5L);
    }
  }

  private static void blocks(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery("SELECT number, repeat('x', number % 300) FROM numbers(200000) ORDER BY number")) {
      long sum = 0;
      long size = 0;
      while (rows.next()) {
        sum += rows.getLong(1);
        size += rows.getString(2).length();
      }
      same(sum, 199_999L * 100_000);
      same(size, 29_890_000L);
    }
  }

  private static void firstRows(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement()) {
      statement.setMaxRows(200);
      statement.setQueryTimeout(20);
      try (ResultSet rows = statement.executeQuery("SELECT number FROM numbers(500000)")) {
        int count = 0;
        while (rows.next()) {
          count++;
        }
        same(count, 200);
      }
    }
  }

  private static void empty(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery("SELECT ServiceName FROM otel_traces WHERE ServiceName = 'nobody'")) {
      same(rows.getMetaData().getColumnName(1), "ServiceName");
      same(rows.next(), false);
    }
  }

  private static void failures(Connection connection) throws Exception {
    Map<String, Integer> codes = new LinkedHashMap<>();
    codes.put("SELECT nosuch FROM llm_calls", 47);
    codes.put("SELECT * FROM nosuchtable", 60);
    codes.put("SELECT * FROM system.users", 497);
    codes.put("SELECT file('/etc/passwd')", 497);
    codes.put("SELECT number FROM numbers(100000000)", 396);
    codes.put("DROP TABLE llm_calls", 164);
    codes.put("INSERT INTO llm_calls (trace_id) VALUES ('x')", 164);
    for (Map.Entry<String, Integer> entry : codes.entrySet()) {
      try (Statement statement = connection.createStatement()) {
        statement.execute(entry.getKey());
        throw new AssertionError(entry.getKey() + " was answered");
      } catch (SQLException error) {
        if (error.getErrorCode() != entry.getValue() || !error.toString().contains("DB::Exception")) {
          throw new AssertionError(entry.getKey() + ": " + error.getErrorCode() + " " + error);
        }
      }
    }
  }

  private static void cancelled(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement()) {
      Thread canceller =
          new Thread(
              () -> {
                try {
                  Thread.sleep(500);
                  statement.cancel();
                } catch (Exception error) {
                  System.out.println("        " + error);
                }
              });
      canceller.start();
      try {
        statement.executeQuery("SELECT count() FROM numbers(1000000000000)");
        throw new AssertionError("it was answered");
      } catch (SQLException error) {
        same(error.getErrorCode(), 394);
      } finally {
        canceller.join();
      }
    }
  }
}
