"""Looking a model up in the price table that tools/prices.py writes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

#: Prices hold for whole half hours, UTC; a moment is the number of its half hour since 1970.
HALF_HOUR = 1800

#: A condition on a name: ``=equal``, ``^start``, ``$end``, ``*part``, ``/regex``, ``["any", …]`` or ``["all", …]``.
Clause = str | list["Clause"]

#: Service tiers at the standard price, as OpenAI and Google name them.
STANDARD = frozenset({"", "auto", "default", "standard", "unspecified", "on_demand", "traffic_type_unspecified"})


def read_table() -> Mapping[str, Any]:
    """The table shipped with this version."""
    table: Mapping[str, Any] = json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))
    return table


def slot(moment: date | datetime) -> int:
    """The half hour of a moment; a date stands for its first moment, and a time without zone is UTC."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    elif moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) // HALF_HOUR


def tier_name(tier: str | None) -> str:
    """The table's name of a service tier; empty at the standard price."""
    tier = (tier or "").strip().lower()
    return "" if tier in STANDARD else tier.removeprefix("on_demand_")


def find(table: Mapping[str, Any], provider: str, model: str) -> tuple[Mapping[str, Any], bool] | None:
    """The first model of the provider that the name means, and whether it is the provider's own.

    A host that offers other makers' models (Azure, Vertex AI) is asked first, then the makers.
    """
    offer = table["providers"].get(provider)
    if offer is None:
        return None
    for name in (provider, *offer.get("fallback", ())):
        for entry in table["providers"][name]["models"]:
            if matches(entry.get("match") or f"={entry['id'].lower()}", model):
                return entry, name == provider
    return None


def matches(clause: Clause, model: str) -> bool:
    """Whether a condition holds for a model's name in lower case."""
    if not isinstance(clause, str):
        word, *clauses = clause
        return (any if word == "any" else all)(matches(each, model) for each in clauses)
    sign, text = clause[0], clause[1:]
    if sign == "=":
        return model == text
    if sign == "^":
        return model.startswith(text)
    if sign == "$":
        return model.endswith(text)
    return text in model if sign == "*" else bool(re.search(text, model))


def prices_at(entry: Mapping[str, Any], tier: str, moment: int) -> tuple[dict[str, Any], bool]:
    """The prices of a model in a half hour, and whether those of the tier are among them."""
    standard = next((each for each in reversed(entry["prices"]) if _holds(each, moment)), entry["prices"][0])
    found = {name: price for name, price in standard.items() if name not in ("from", "hours")}
    special = [each for each in entry.get("tiers", ()) if each["tier"] == tier and _holds(each, moment)]
    for each in reversed(special):
        found.update(each["prices"])
    return found, bool(special) or not tier


def _holds(condition: Mapping[str, Any], moment: int) -> bool:
    if "from" in condition:
        return moment >= slot(date.fromisoformat(condition["from"]))
    if "hours" in condition:
        start, end = map(int, condition["hours"])
        return (moment % 48 - start) % 48 < (end - start) % 48
    return True
