"""Processes that are forked, and those that end without Python's own end.

A fork begins with nothing of its parent's: calls and streams that were in flight are the parent's to end, and locks are
free. A child of ``multiprocessing``, of Celery's billiard, or a worker of a Celery pool ends by ``os._exit``: what is
waiting then is sent before, for which each of them has a door. Nothing can be done about ``os._exit`` itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any
from weakref import WeakSet

import wrapt

from otel_llm.config import fault

#: Stands for this process: a call is ended by the process that began it. A fork has another.
process = object()

#: Most seconds that a fork waits for a lock.
LONGEST = 1.0

#: Held over a fork, so that the child finds them free, and what they guard whole.
_locks: WeakSet[Any] = WeakSet()
_held: list[Any] = []
_after: list[Callable[[], None]] = []
_at_end: list[Callable[[], object]] = []


def guard(lock: Any) -> Any:
    """The lock, which no fork will find held."""
    _locks.add(lock)
    return lock


def in_child(forget: Callable[[], None]) -> None:
    """Has a function called in every fork, first thing."""
    _after.append(forget)


def at_end(send: Callable[[], object]) -> None:
    """Has a function called before a child ends by ``os._exit``, where that can be heard of; the first time only."""
    if _at_end:
        return
    _at_end.append(send)
    for module, hook in (
        ("multiprocessing.util", _finalizers),
        ("billiard.util", _finalizers),
        ("celery.signals", _signals),
    ):
        wrapt.register_post_import_hook(partial(_heard, hook), module)


def _heard(hook: Callable[[Any], None], module: ModuleType) -> None:
    try:
        hook(module)
    except Exception:
        fault(f"listening to {module.__name__}")


def _finalizers(util: Any) -> None:
    """Children forget the finalizers of their parent when they begin, and run their own when they end."""
    register = partial(util.Finalize, None, _end, exitpriority=0)
    util.register_after_fork(_end, lambda _: register())
    package = sys.modules.get(util.__name__.partition(".")[0])
    if getattr(package, "parent_process", lambda: None)() is not None:  # we are in such a child
        register()


def _signals(signals: Any) -> None:
    signals.worker_process_shutdown.connect(_end, weak=False)


def _end(*_: Any, **__: Any) -> None:
    for send in _at_end:
        try:
            send()
        except Exception:
            fault("sending what is waiting")


def _before() -> None:
    global _held
    _held = [lock for lock in list(_locks) if lock.acquire(timeout=LONGEST)]


def _release() -> None:
    for lock in _held:
        lock.release()
    _held.clear()


def _forked() -> None:
    global process
    process = object()
    _release()
    for forget in _after:
        try:
            forget()
        except Exception:
            fault("beginning a process")


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(before=_before, after_in_parent=_release, after_in_child=_forked)
