"""The text of a statement in ClickHouse's own form, before its syntax tree is looked at.

ClickHouse writes it again itself (``formatQuerySingleLine``), so there is one statement, no comment, strings are in
single quotes and odd names in backticks. What is left to do here is told by the names in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from otel_llm_collector.errors import QueryRefused

FORMATS = re.compile(
    r"Arrow|ArrowStream|BSONEachRow|CSV\w*|JSON\w*|LineAsString|Markdown|MsgPack|NDJSON|Native|Null|ORC|Parquet"
    r"|Pretty\w*|RawBLOB|RowBinary|RowBinaryWithNames|RowBinaryWithNamesAndTypes|SQLInsert|TSKV|TSV\w*|TabSeparated\w*"
    r"|Values|Vertical|XML",
    re.ASCII,
)
"""The output formats that are written: those that need no file and no other setting than their own."""

_BAD_PARAMETER = 457
_UNKNOWN_FORMAT = 73
_TOKEN = re.compile(
    r"'(?:[^'\\]|\\.)*'"
    r"|(?<![\w.])(?P<quote>`?)(?P<database>system|information_schema|INFORMATION_SCHEMA)(?P=quote)\.(?P<table>\w+|`\w+`)"
    r"|`(?P<name>(?:[^`\\]|\\.)*)`"
    r"|\{(?P<parameter>\w+):Identifier\}"
    r"|(?P<state>\bAggregateFunction\b)",
    re.ASCII | re.DOTALL,
)
_ODD = re.compile(r"[`\\]|[\x00-\x1f\x7f]|\((?:alias|children) ")
_PLAIN = re.compile(r"\w+(?:\.\w+)*", re.ASCII)
_FORMAT = re.compile(r"(.*) FORMAT (`?)(\w+)\2", re.DOTALL | re.ASCII)


def with_format(statement: str, format: str) -> tuple[str, str]:
    """The statement without its FORMAT clause, and the format: the clause's, else ``format``."""
    if clause := _FORMAT.fullmatch(statement):
        statement, format = clause[1], clause[3]
    if not FORMATS.fullmatch(format):
        raise QueryRefused(
            f"{format!r} is not the name of a format that is written here; JSON, CSVWithNames and TabSeparated are.",
            _UNKNOWN_FORMAT,
        )
    return statement, format


def plain(statement: str, parameters: Mapping[str, str], instead: Mapping[str, str]) -> str:
    """The statement with the names that parameters give, and with our views in place of ClickHouse's system tables.

    ``instead`` names the database of ours for each of ClickHouse's. Names by which a line of the syntax tree could be
    mistaken for another are refused.
    """

    def named(token: re.Match[str]) -> str:
        if token["name"] is not None and _ODD.search(token["name"]):
            raise QueryRefused(f"The name {token[0]} is not allowed here: it has signs that no name needs.")
        if token["state"]:
            raise QueryRefused("A parameter cannot be the state of an aggregate function here.")
        if token["parameter"] is None or token["parameter"] not in parameters:
            return token[0]
        name = parameters[token["parameter"]]
        if not _PLAIN.fullmatch(name):
            raise QueryRefused(
                f"Parameter {token['parameter']} is {name!r}; a name has letters, digits and _ only.", _BAD_PARAMETER
            )
        return f"`{name}`"

    def shown(token: re.Match[str]) -> str:
        if token["table"] is None:
            return token[0]
        table = token["table"] if token["database"] == "system" else token["table"].lower()
        return f"{instead[token['database']]}.{table}"

    return _TOKEN.sub(shown, _TOKEN.sub(named, statement))
