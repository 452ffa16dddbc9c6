"""Keeping web pages out: a page in a browser on this machine reaches loopback too, where often no key is needed.

A page of another site gives itself away by ``Origin`` or ``Sec-Fetch-Site``. One whose own name was made to point at
this machine (DNS rebinding) is of our site as far as the browser knows, but its name is in ``Host``.
"""

from __future__ import annotations

import ipaddress
import re

from aiohttp import web

_HOST = re.compile(r"\[([^]]*)\](?::\d*)?|([^:]*)(?::\d*)?")


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def foreign(request: web.BaseRequest, host: str) -> str:
    """Why a request to a collector that listens on ``host`` comes from a web page of somebody else; empty otherwise."""
    named = request.headers.get("Host", "")
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != named:
        return f"Web pages may not ask here; this one is of {origin}."
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return "Web pages of other sites may not ask here."
    if is_loopback(host) and not _is_ours(named, host):
        return f"Host {named} is not a name of this collector: ask it by its address, or as localhost."
    return ""


def _is_ours(named: str, host: str) -> bool:
    """Addresses cannot be pointed elsewhere, names can."""
    parts = _HOST.fullmatch(named)
    name = (parts[1] or parts[2] or "").lower() if parts else named
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in ("", "localhost", host)
    return True
