"""What this process takes of the machine."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

_PAGE = os.sysconf("SC_PAGE_SIZE")
_began = time.monotonic()


def status() -> dict[str, Any]:
    """Seconds since it was started and of processor time, and bytes of memory where the system tells."""
    return {"uptime_s": round(time.monotonic() - _began, 3), "cpu_s": time.process_time(), "rss_bytes": _resident()}


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except OSError:
        return 0
