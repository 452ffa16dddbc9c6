"""The command ``otel-llm``.

A command is a plain function with typer's annotations, in a module of its own; what is heavy is imported inside it, so
that ``otel-llm --help`` is quick.
"""

from __future__ import annotations

import logging
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typer import Typer

_MISSING = "The command otel-llm needs the collector's packages ({name} is missing): pip install 'otel-llm[collector]'"
#: Packages of the extra ``collector``, by import name.
_EXTRA = frozenset(
    {"aiohttp", "chdb", "clickhouse_connect", "google", "grpc", "prometheus_client", "rich", "typer", "uvloop"}
)


def main() -> None:
    """Run the command; an error that is to be expected is one sentence and exit code 1, never a traceback."""
    from otel_llm.errors import OtelLLMError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has not the letter shows a question mark
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # of a failure it says less than we do
    try:
        _app()()
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _EXTRA:
            raise
        sys.exit(_MISSING.format(name=name))
    except OtelLLMError as error:
        sys.exit(str(error))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        sys.exit(f"otel-llm: {error}")
    except KeyboardInterrupt:  # before typer takes it
        sys.exit(130)


def _app() -> Typer:
    import typer

    from . import calls, copy, demo, doctor, keys, migrate, sql, status, trace, up

    app = typer.Typer(
        name="otel-llm",
        help="Every Gemini and OpenAI call of your applications, in ClickHouse: cost, latency, prompts, guardrails.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for module in (up, status, demo, calls, trace, sql, doctor, migrate, copy):
        name = module.__name__.rpartition(".")[2]
        app.command(name)(getattr(module, name))
    app.add_typer(keys.app, name="keys")
    return app
