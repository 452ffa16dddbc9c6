"""How commands on this machine reach a collector: with its own key, and by its own certificate.

A collector that starts writes a key for all scopes into ``<data>/collector.key``, for the folder's owner only; it is
valid until the collector stops.
"""

from __future__ import annotations

import os
import ssl
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from .door.keys import write_private
from .errors import CollectorError

KEY_VARIABLE = "OTEL_LLM_API_KEY"
_CERTIFICATE_VARIABLE = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"
_CLIENT_KEY_VARIABLE = "OTEL_EXPORTER_OTLP_CLIENT_KEY"
_KEY = "collector.key"


def write_key(data: Path, secret: str) -> None:
    """Leave the collector's own key in the data folder. Raises ``OSError``."""
    write_private(data / _KEY, f"{secret}\n")


def remove_key(data: Path) -> None:
    (data / _KEY).unlink(missing_ok=True)


def headers(data: Path) -> dict[str, str]:
    """The key to send: that of the environment, else the collector's own where it may be read."""
    secret = os.environ.get(KEY_VARIABLE, "")
    if not secret:
        try:
            secret = (data / _KEY).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return {}
    if not (secret.isascii() and secret.isprintable()):
        raise CollectorError(f"{KEY_VARIABLE} is no key: it has characters that keys do not have.")
    return {"x-api-key": secret}


def connection(url: str, certificate: str, timeout: float) -> HTTPConnection:
    """A connection to a collector's URL, which is not opened yet; ``certificate`` is the file of its own.

    Raises ``CollectorError`` where a certificate cannot be used.
    """
    parts = urlsplit(url)
    if parts.scheme != "https":
        return HTTPConnection(parts.netloc, timeout=timeout)
    return HTTPSConnection(parts.netloc, timeout=timeout, context=_context(certificate))


def no_tls(url: str, error: OSError) -> str:
    """What to say when the TLS of a connection fails."""
    reason = getattr(error, "reason", None) or error
    return (
        f"The TLS of the collector at {url} fails ({reason}); where it asks for certificates, name one in "
        f"{_CERTIFICATE_VARIABLE}."
    )


def _context(certificate: str) -> ssl.SSLContext:
    """Trusts the one certificate that the collector has, whatever names are in it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    own = os.environ.get(_CERTIFICATE_VARIABLE)
    try:
        context.load_verify_locations(certificate)
        if own:
            context.load_cert_chain(own, os.environ.get(_CLIENT_KEY_VARIABLE))
    except OSError as error:
        files = f"{certificate} and {own}" if own else certificate
        raise CollectorError(f"Certificates cannot be read from {files}: {error.strerror}.") from error
    return context
