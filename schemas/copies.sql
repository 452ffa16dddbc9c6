-- What `otel-llm copy` has brought here: a row each time it has brought rows of a table with times from `first` to
-- `last`. So rows that were removed here since are not brought again, and those that came late to the source are known
-- by being more. `source` is when the source was made, which only a copy of its folder has in common with it.
CREATE TABLE IF NOT EXISTS otel_llm_copies
(
    source String,
    name LowCardinality(String) COMMENT 'The table.',
    first Int64 COMMENT 'The earliest time of the block, as the table counts it: in nanoseconds or seconds since 1970.',
    last Int64 COMMENT 'The latest.',
    rows UInt64 COMMENT 'How many rows were brought.',
    checksum UInt64 COMMENT 'The sum of their keys, modulo 2^64.',
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY (source, name, first, last)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
