"""Which of ClickHouse's settings a question may bring, and how far it may go.

Limits may be lowered, never raised. What only changes how an answer is computed or written is applied. What the HTTP
interface itself consumes, and what clients send by themselves though it means nothing for a question that only reads,
is ignored. Everything else is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from otel_llm_collector.errors import QueryRefused

_BAD_ARGUMENTS = 36
_READONLY = 164
_UPPER = frozenset(
    {
        "max_block_size",
        "max_execution_time",
        "max_memory_usage",
        "max_result_bytes",
        "max_result_rows",
        "max_threads",
    }
)
_APPLIED_NAMES = """
    aggregate_functions_null_for_empty any_join_distinct_right_table_keys bool_false_representation
    bool_true_representation cast_keep_nullable cast_string_to_dynamic_use_inference
    count_distinct_implementation date_time_input_format date_time_output_format extremes final
    format_csv_delimiter format_csv_null_representation format_tsv_null_representation
    group_by_overflow_mode group_by_use_nulls join_use_nulls limit low_cardinality_allow_in_native_format
    max_bytes_to_read max_rows_to_group_by max_rows_to_read offset prefer_column_name_to_alias read_overflow_mode
    result_overflow_mode session_timezone timeout_overflow_mode totals_mode transform_null_in union_default_mode
"""
_APPLIED = frozenset(_APPLIED_NAMES.split())
_APPLIED_FORMATS = re.compile(
    r"output_format_(?:always|arrow|binary|bson|csv|decimal|float|json|markdown|msgpack|native|orc|parquet|pretty"
    r"|sql_insert|tsv|values|write|xml)_\w+",
    re.ASCII,
)
_IGNORED_NAMES = """
    add_http_cors_header async_insert buffer_size cancel_http_readonly_queries_on_client_close compress
    enable_http_compression http_headers_progress_interval_ms http_receive_timeout http_response_buffer_size
    http_send_timeout http_wait_end_of_query http_write_exception_in_output_format http_zlib_compression_level
    log_comment log_queries network_compression_method network_zstd_compression_level quota_key receive_timeout role
    send_logs_level send_progress_in_http_headers send_timeout session_check session_id session_timeout stacktrace
    wait_end_of_query wait_for_async_insert
"""
_IGNORED = frozenset(_IGNORED_NAMES.split())


def merged(limits: Mapping[str, str | int], asked: Mapping[str, str]) -> dict[str, str | int]:
    """The settings of one question, from our limits and what it asks for; ``readonly`` is the last of them.

    Raises ``QueryRefused`` for a setting that must not be changed, or a limit that is not a number.
    """
    settings = dict(limits)
    for name, value in asked.items():
        if name in _UPPER:
            settings[name] = _lower(name, value, int(limits[name]))
        elif name in _APPLIED or _APPLIED_FORMATS.fullmatch(name):
            settings[name] = value
        elif name == "readonly":
            if value not in ("1", "2"):
                raise QueryRefused("readonly cannot be changed: this endpoint only reads.", _READONLY)
        elif name not in _IGNORED:
            raise QueryRefused(f"Setting {name} cannot be changed here.", _READONLY)
    if settings["result_overflow_mode"] == "break":  # which by itself ends with a block, whatever is in that
        most = int(settings["max_result_rows"])
        settings["limit"] = _lower("limit", str(settings.get("limit", 0)), most)
    settings["readonly"] = settings.pop("readonly", 1)  # after it nothing can be set
    return settings


def _lower(name: str, value: str, limit: int) -> int:
    """The lower of both; 0 is ClickHouse's way to say that there is none."""
    try:
        number = math.ceil(float(value))
    except (ValueError, OverflowError):
        raise QueryRefused(f"{name} is {value!r}; it must be a number.", _BAD_ARGUMENTS) from None
    return min(number, limit) if number > 0 else limit


def changeable() -> str:
    """A regular expression for the names of all settings that a question may bring, as ClickHouse's ``match`` reads."""
    names = "|".join(sorted(_UPPER | _APPLIED | _IGNORED))
    return f"^(?:{names}|{_APPLIED_FORMATS.pattern})$"
