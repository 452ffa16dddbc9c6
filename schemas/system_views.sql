-- What the SQL endpoint shows in place of ClickHouse's own system tables: what clients ask about the schema, without
-- paths of this machine, other databases and what others do. Filled in are {views}, the database of these views,
-- {database}, that of our tables, and {settings}, a regular expression for the settings that a question may bring.

CREATE DATABASE IF NOT EXISTS {views};

CREATE OR REPLACE VIEW {views}.databases AS
SELECT * REPLACE ('' AS data_path, '' AS metadata_path, '' AS engine_full), name AS database
FROM system.databases
WHERE name IN ({database}, 'information_schema', 'INFORMATION_SCHEMA');

CREATE OR REPLACE VIEW {views}.tables AS
SELECT * REPLACE (CAST([], 'Array(String)') AS data_paths, '' AS metadata_path), name AS table
FROM system.tables
WHERE database IN ({database}, 'information_schema', 'INFORMATION_SCHEMA');

CREATE OR REPLACE VIEW {views}.columns AS
SELECT *, name AS column
FROM system.columns
WHERE database IN ({database}, 'information_schema', 'INFORMATION_SCHEMA');

CREATE OR REPLACE VIEW {views}.parts AS
SELECT * REPLACE ('' AS path), bytes_on_disk AS bytes, name AS part_name
FROM system.parts
WHERE database = {database};

CREATE OR REPLACE VIEW {views}.data_skipping_indices AS
SELECT * FROM system.data_skipping_indices WHERE database = {database};

CREATE OR REPLACE VIEW {views}.projections AS
SELECT * FROM system.projections WHERE database = {database};

CREATE OR REPLACE VIEW {views}.settings AS
SELECT * REPLACE (toUInt8(NOT match(name, {settings})) AS readonly) FROM system.settings;

CREATE OR REPLACE VIEW {views}.aggregate_function_combinators AS SELECT * FROM system.aggregate_function_combinators;
CREATE OR REPLACE VIEW {views}.collations AS SELECT * FROM system.collations;
CREATE OR REPLACE VIEW {views}.data_type_families AS SELECT * FROM system.data_type_families;
CREATE OR REPLACE VIEW {views}.formats AS SELECT * FROM system.formats;
CREATE OR REPLACE VIEW {views}.functions AS SELECT * FROM system.functions;
CREATE OR REPLACE VIEW {views}.keywords AS SELECT * FROM system.keywords;
CREATE OR REPLACE VIEW {views}.numbers AS SELECT * FROM system.numbers;
CREATE OR REPLACE VIEW {views}.one AS SELECT * FROM system.one;
CREATE OR REPLACE VIEW {views}.table_engines AS SELECT * FROM system.table_engines;
CREATE OR REPLACE VIEW {views}.table_functions AS SELECT * FROM system.table_functions;
CREATE OR REPLACE VIEW {views}.time_zones AS SELECT * FROM system.time_zones;
