"""Python functions as Gemini's tools. Annotations are evaluated: older SDKs cannot read those that are postponed."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from google.genai import _mcp_utils

#: MCP sessions that are none: SDKs that import ``mcp`` before it is needed know the real ones only.
needs_late_mcp = pytest.mark.skipif(
    not hasattr(_mcp_utils, "_is_mcp_loaded"), reason="the installed google-genai looks for mcp when it is imported"
)


def weather(city: str) -> str:
    """The weather of a city."""
    return f"Sunny in {city}."


async def tide(city: str) -> dict[str, int]:
    """The tide at a city."""
    return {"metres": len(city)}


def weather_by(found: Callable[[str], str]) -> Callable[..., Any]:
    """The same function, with another way to know."""

    def weather(city: str) -> str:
        """The weather of a city."""
        return found(city)

    assert not isinstance(inspect.signature(weather).parameters["city"].annotation, str)
    return weather
