"""The write-ahead log: records in segments, on a bounded disk."""
