-- What `otel-llm copy` has brought here, so that a copy that broke off goes on where it was. `source` is when the source
-- was made, which no other store shares. A partition has one row `held`: what was here before; then for each of its
-- blocks one row when it is planned and one when it has been copied.
CREATE TABLE IF NOT EXISTS otel_llm_copies
(
    source String,
    name LowCardinality(String) COMMENT 'The table.',
    partition String,
    state Enum8('held' = 0, 'planned' = 1, 'copied' = 2),
    block UInt32 COMMENT 'Number of the block in its partition.',
    first Int64 COMMENT 'The earliest time in the block, as the table counts it.',
    last Int64 COMMENT 'The latest.',
    rows UInt64,
    checksum UInt64 COMMENT 'Of the rows that were here before.',
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY (source, name, partition, state, block)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
