"""Writes docs/prometheus.md, the collector's own metrics; ``--check`` says whether it is current.

uv run python tools/prometheus.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from otel_llm_collector.measures.metric_families import FAMILIES, PREFIX

TARGET = Path(__file__).parent.parent / "docs" / "prometheus.md"

HEAD = f"""# The collector's metrics

Generated from `collector/otel_llm_collector/measures/metric_families.py` by `tools/prometheus.py`; not to be edited.

`GET /metrics` on the API port answers in Prometheus' text format, or in OpenMetrics where the request accepts that.
Labels have few values, known beforehand: nothing that a sender chooses becomes one. Besides these there are
`{PREFIX}build_info` and the process's own `process_*` and `python_gc_*`.

| metric | type | labels | |
|---|---|---|---|
"""


def page() -> str:
    """The page as it should be."""
    rows = [
        f"| `{family.shown(name)}` | {family.kind} | {', '.join(family.labels)} | {family.help} |\n"
        for name, family in FAMILIES.items()
    ]
    return HEAD + "".join(rows)


def main() -> int:
    """Writes the page, or says that it is stale."""
    if "--check" not in sys.argv:
        TARGET.write_text(page())
        return 0
    if TARGET.exists() and TARGET.read_text() == page():
        return 0
    print(f"{TARGET.name} is stale: uv run python tools/prometheus.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
