-- What the SQL endpoint shows in place of ClickHouse's own system tables and information schema: what clients ask about
-- the schema, without paths of this machine, other databases and what others do. Filled in are {views} and
-- {information}, the databases of these views, {cluster}, where they are made, {database}, that of our tables, and
-- {settings}, a regular expression for the settings that a question may bring.

CREATE DATABASE IF NOT EXISTS {views}{cluster};

CREATE DATABASE IF NOT EXISTS {information}{cluster};

CREATE OR REPLACE VIEW {views}.databases{cluster} AS
SELECT * REPLACE ('' AS data_path, '' AS metadata_path, '' AS engine_full), name AS database
FROM system.databases
WHERE name IN ({database}, 'information_schema', 'INFORMATION_SCHEMA');

CREATE OR REPLACE VIEW {views}.tables{cluster} AS
SELECT * REPLACE (CAST([], 'Array(String)') AS data_paths, '' AS metadata_path), name AS table
FROM system.tables
WHERE database IN ({database}, 'information_schema', 'INFORMATION_SCHEMA');

CREATE OR REPLACE VIEW {views}.columns{cluster} AS
SELECT *, name AS column
FROM system.columns
WHERE database IN ({database}, 'information_schema', 'INFORMATION_SCHEMA');

CREATE OR REPLACE VIEW {views}.parts{cluster} AS
SELECT * REPLACE ('' AS path), bytes_on_disk AS bytes, name AS part_name
FROM system.parts
WHERE database = {database};

CREATE OR REPLACE VIEW {views}.data_skipping_indices{cluster} AS
SELECT * FROM system.data_skipping_indices WHERE database = {database};

CREATE OR REPLACE VIEW {views}.projections{cluster} AS
SELECT * FROM system.projections WHERE database = {database};

CREATE OR REPLACE VIEW {views}.settings{cluster} AS
SELECT * REPLACE (toUInt8(NOT match(name, {settings})) AS readonly) FROM system.settings;

CREATE OR REPLACE VIEW {views}.aggregate_function_combinators{cluster} AS SELECT * FROM system.aggregate_function_combinators;
CREATE OR REPLACE VIEW {views}.collations{cluster} AS SELECT * FROM system.collations;
CREATE OR REPLACE VIEW {views}.data_type_families{cluster} AS SELECT * FROM system.data_type_families;
CREATE OR REPLACE VIEW {views}.formats{cluster} AS SELECT * FROM system.formats;
CREATE OR REPLACE VIEW {views}.functions{cluster} AS SELECT * FROM system.functions;
CREATE OR REPLACE VIEW {views}.keywords{cluster} AS SELECT * FROM system.keywords;
CREATE OR REPLACE VIEW {views}.numbers{cluster} AS SELECT * FROM system.numbers;
CREATE OR REPLACE VIEW {views}.one{cluster} AS SELECT * FROM system.one;
CREATE OR REPLACE VIEW {views}.table_engines{cluster} AS SELECT * FROM system.table_engines;
CREATE OR REPLACE VIEW {views}.table_functions{cluster} AS SELECT * FROM system.table_functions;
CREATE OR REPLACE VIEW {views}.time_zones{cluster} AS SELECT * FROM system.time_zones;

CREATE OR REPLACE VIEW {information}.columns{cluster} AS
SELECT * FROM information_schema.columns WHERE table_schema = {database};

CREATE OR REPLACE VIEW {information}.key_column_usage{cluster} AS
SELECT * FROM information_schema.key_column_usage WHERE table_schema = {database};

CREATE OR REPLACE VIEW {information}.referential_constraints{cluster} AS
SELECT * FROM information_schema.referential_constraints WHERE constraint_schema = {database};

CREATE OR REPLACE VIEW {information}.schemata{cluster} AS
SELECT * FROM information_schema.schemata
WHERE schema_name IN ({database}, 'information_schema', 'INFORMATION_SCHEMA');

CREATE OR REPLACE VIEW {information}.statistics{cluster} AS
SELECT * FROM information_schema.statistics WHERE table_schema = {database};

CREATE OR REPLACE VIEW {information}.tables{cluster} AS
SELECT * FROM information_schema.tables WHERE table_schema = {database};

CREATE OR REPLACE VIEW {information}.views{cluster} AS
SELECT * FROM information_schema.views WHERE table_schema = {database};

CREATE OR REPLACE VIEW {information}.character_sets{cluster} AS SELECT * FROM information_schema.character_sets;
CREATE OR REPLACE VIEW {information}.collations{cluster} AS SELECT * FROM information_schema.collations;
CREATE OR REPLACE VIEW {information}.engines{cluster} AS SELECT * FROM information_schema.engines;
