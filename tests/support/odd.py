"""Odd things that callers hand to an SDK and providers answer, the same ones again for the same seed."""

from __future__ import annotations

import collections
import copy
import enum
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

#: Methods that may raise when somebody looks at an object.
_LOOKS = (
    "__getattr__", "__str__", "__repr__", "__eq__", "__hash__", "__bool__", "__iter__", "__len__", "__contains__",
    "__getitem__", "__format__",
)  # fmt: skip


class Odd(RuntimeError):
    """What an odd object raises."""


def _raising(name: str, kind: type = object) -> Any:
    def look(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise Odd(name)

    members: dict[str, Any] = {name: look}
    if name == "__eq__" and kind is object:
        members["__hash__"] = object.__hash__
    return type(f"Raises{name}", (kind,), members)()


def _circle() -> Any:
    circle: dict[str, Any] = {"text": "round"}
    circle["self"] = [circle]
    return circle


def _round() -> Any:
    items: list[Any] = ["round"]
    items.append(items)
    return items


def _nested(levels: int, kind: str = "list") -> Any:
    value: Any = "deep"
    for _ in range(levels):
        value = [value] if kind == "list" else {"content": value}
    return value


def _generated() -> Iterator[Any]:
    yield {"type": "text", "text": "one"}
    yield "two"


class _Colour(enum.Enum):
    RED = "red"


#: How an odd thing is made, afresh for each call: it may be used up.
THINGS: tuple[Callable[[], Any], ...] = (
    lambda: None,
    lambda: True,
    lambda: -1,
    lambda: 1 << 70,
    lambda: float("nan"),
    lambda: float("-inf"),
    lambda: "",
    lambda: "x" * 200_000,
    lambda: "half \udc80",
    lambda: b"\xff\x00",
    lambda: bytearray(b"bytes"),
    lambda: memoryview(b"view"),
    lambda: {"one", "two"},
    lambda: (1, ("two",)),
    lambda: range(3),
    _generated,
    lambda: iter(["one", {"text": "two"}]),
    lambda: map(str, [1, 2]),
    lambda: int,
    lambda: _raising,
    object,
    lambda: ValueError("as a value"),
    lambda: _Colour.RED,
    lambda: {1: "one", None: "none", (1, 2): "pair"},
    lambda: collections.defaultdict(list, text="made when asked for"),
    lambda: collections.UserDict(text="of a user"),
    lambda: collections.deque(["one"]),
    _circle,
    _round,
    lambda: _nested(100),
    lambda: _nested(50, "dict"),
    lambda: _nested(3000),
    *((lambda name=name: _raising(name)) for name in _LOOKS),
    *((lambda name=name: _raising(name, dict)) for name in ("__iter__", "__len__", "__contains__", "__getitem__")),
    *((lambda name=name: _raising(name, list)) for name in ("__iter__", "__len__", "__getitem__", "__bool__")),
    *((lambda name=name: _raising(name, str)) for name in ("__str__", "__len__", "__eq__", "__hash__")),
)

#: Values of JSON that no one expects where they are.
_VALUES: tuple[Any, ...] = (
    None, True, -1, 0.5, 1 << 70, 1e308, "", "odd", "1e400", [], {}, [None], [[]], {"odd": None}, ["a", 1, {}],
    "half \udc80",
)  # fmt: skip


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a value with each of its keys."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        keys: Any = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            found += [(value, key), *_places(value[key])]
    return found


def request(seed: int, kwargs: dict[str, Any], more: tuple[str, ...]) -> dict[str, Any]:
    """A call's parameters with something odd in them: in place of a value, beside the others, or as one of ``more``."""
    chance = random.Random(seed)
    kwargs = copy.deepcopy(kwargs)
    places = [(inside, key) for inside, key in _places(kwargs) if key != "stream"]
    for _ in range(chance.choice((1, 1, 2))):
        thing = chance.choice(THINGS)()
        inside, key = chance.choice(places)
        way = chance.random()
        if way < 0.15:
            kwargs[chance.choice(more)] = thing
        elif way < 0.3 and isinstance(inside, list):
            inside.insert(key, thing)
        elif way < 0.4 and isinstance(inside, dict):
            inside["odd"] = thing
        else:
            inside[key] = thing
    return kwargs


def response(seed: int, body: bytes) -> bytes:
    """A provider's answer with something odd in it: a value of another type, one that is missing or one too many."""
    chance = random.Random(seed)
    text = body.decode()
    lines = text.split("\n") if text.startswith(("data:", "event:")) else [text]
    at = chance.choice([at for at, line in enumerate(lines) if "{" in line])
    mark = lines[at].index("{")
    said = json.loads(lines[at][mark:])
    for _ in range(chance.choice((1, 1, 2, 3))):
        odd = copy.deepcopy(chance.choice(_VALUES))
        places = _places(said)
        way = chance.random()
        if way < 0.03 or not places:
            said = odd
            break
        inside, key = chance.choice(places)
        if way < 0.2:
            del inside[key]
        elif way < 0.3 and isinstance(inside, dict):
            inside["odd"] = odd
        elif way < 0.4 and isinstance(inside, list):
            inside.insert(key, odd)
        else:
            inside[key] = odd
    lines[at] = lines[at][:mark] + json.dumps(said)
    return "\n".join(lines).encode()
