"""The tree of a trace, from rows of ``trace_spans.sql``, and its costs added up along it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from rich.tree import Tree

from .show import Row, cost, first_line, money, number, plain_row, prompt, seconds


def trace_tree(spans: Sequence[Row]) -> Tree:
    """The spans of one trace as a tree across services, each with the sum of what it and all below it cost."""
    sums = cost_sums(spans)
    services = len({span["service_name"] for span in spans})
    head = f"trace {spans[0]['trace_id']} · {services} service{'s' if services != 1 else ''} · "
    calls = sum(1 for span in spans if span["provider"])
    unpriced = sum(1 for span in spans if span["provider"] and span["cost_total"] is None)
    costs = [money(sum(span["cost_total"] or 0 for span in spans))] if unpriced < calls or not calls else []
    total = " + ".join([*costs, *([f"{unpriced} unpriced"] if unpriced else [])])
    tree = Tree(Text(f"{head}{len(spans)} spans · {calls} model calls · {total}", style="bold"))
    nodes: dict[int, Tree] = {}
    for place, parent in _parents_first(spans):
        above = tree if parent is None else nodes[parent]
        nodes[place] = above.add(_span(plain_row(spans[place]), sums[place]))
    return tree


def cost_sums(spans: Sequence[Row]) -> list[float | None]:
    """For each span the cost of its own and of all below it, as far as that is known; ``None`` where no call's is."""
    sums = [float(span["cost_total"] or 0) for span in spans]
    known = [span["cost_total"] is not None for span in spans]
    calls = [bool(span["provider"]) for span in spans]
    for place, parent in reversed(_parents_first(spans)):
        if parent is not None:
            sums[parent] += sums[place]
            known[parent] |= known[place]
            calls[parent] |= calls[place]
    return [amount if known[place] or not calls[place] else None for place, amount in enumerate(sums)]


def _parents_first(spans: Sequence[Row]) -> list[tuple[int, int | None]]:
    """The places of all spans, each with its parent's, after its parent and in order of time among its siblings.

    A span whose parent is not there has none; nor have those that are each other's parents.
    """
    known = {span["span_id"] for span in spans}
    children: dict[str, list[int]] = {}
    order: list[tuple[int, int | None]] = []
    for place, span in enumerate(spans):
        parent = span["parent_span_id"]
        if parent in known and parent != span["span_id"]:
            children.setdefault(parent, []).append(place)
        else:
            order.append((place, None))
    for place, _ in order:  # which grows
        order.extend((child, place) for child in children.pop(spans[place]["span_id"], ()))
    order.extend((place, None) for places in children.values() for place in places)
    return order


def _span(span: Row, total: float | None) -> Text:
    text = Text()
    text.append(f"{span['service_name']} ", style="cyan")
    text.append(span["span_name"], style="bold" if span["provider"] else "")
    text.append(f"  {seconds(span['duration_s'])}", style="green")
    if span["provider"]:
        details = [
            prompt(span),
            f"{number(span['input_tokens'])} → {number(span['output_tokens'])} tokens",
            cost(span),
        ]
        if span["is_stream"]:
            details.append("streamed")
        if span["guardrail_outcome"] not in ("", "passed"):
            details.append(f"guardrails: {span['guardrail_outcome']}")
        text.append("  " + " · ".join(details), style="dim")
    if total is not None and total > (span["cost_total"] or 0):
        text.append(f"  Σ {money(total)}", style="magenta")
    if span["status_code"] == "Error":
        reason = first_line(span["status_message"]) or first_line(span["error_type"] or "") or "failed"
        text.append(f"  {reason}", style="red")
    return text
