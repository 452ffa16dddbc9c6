"""The disk that a folder is on: how much is free, and whether it can be written."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from otel_llm_collector.settings import MIB

LOW_BYTES = 1024 * MIB
LOW_SHARE = 0.02
"""Below either of these the disk is nearly full."""


class Space(NamedTuple):
    """Bytes in all, and those that are free."""

    size: int
    free: int

    @property
    def is_low(self) -> bool:
        return self.free < max(LOW_BYTES, LOW_SHARE * self.size)


def space(folder: Path) -> Space:
    """That of the disk a folder is on; none where it cannot be told."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return Space(0, 0)
    return Space(usage.total, usage.free)


def need(folder: Path, room: int) -> None:
    """Raises ``OSError`` where fewer bytes are free."""
    if space(folder).free < room:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fault(folder: Path, room: int) -> str:
    """Why the folder has not so much room, or a file in it cannot be made durable; empty when all is well."""
    probe = folder / "probe"
    try:
        need(folder, room)
        with probe.open("wb") as file:
            file.write(b"probe")
            file.flush()
            os.fsync(file.fileno())
        return ""
    except OSError as error:
        return sentence(error)
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def sentence(error: Exception) -> str:
    """What a write to the log that failed is called."""
    reason = error.strerror if isinstance(error, OSError) else repr(error)
    return f"The log cannot be written: {reason}."
