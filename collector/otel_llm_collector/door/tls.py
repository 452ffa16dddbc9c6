"""TLS and mTLS on all ports; certificates that are renewed are used without a restart."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from otel_llm_collector.errors import CollectorError
from otel_llm_collector.settings import Settings

from .watched import Watched


@dataclass(frozen=True, slots=True)
class _Loaded:
    chain: bytes
    context: ssl.SSLContext
    config: grpc.ServerCertificateConfiguration


class Tls:
    """The certificate, its key, and the authority whose clients are let in, read again when they change."""

    def __init__(self, certificate: Path, key: Path, client_authority: Path | None) -> None:
        """Raises ``CollectorError`` where a file cannot be used."""
        self._certificate = certificate
        self._key = key
        self._authority = client_authority
        paths = [certificate, key] + ([client_authority] if client_authority else [])
        self._files = Watched(paths, self._load)
        self._given = self._files.get().config

    @classmethod
    def of(cls, settings: Settings) -> Tls | None:
        """As set; ``None`` where there shall be no TLS."""
        if settings.tls_cert is None or settings.tls_key is None:
            return None
        return cls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)

    @property
    def context(self) -> ssl.SSLContext:
        """For the next HTTP connection."""
        return self._files.get().context

    @property
    def chain(self) -> bytes:
        """The certificate in use, and those above it, in PEM."""
        return self._files.get().chain

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """For a gRPC server; it asks before each handshake whether there is another certificate by now."""
        return grpc.dynamic_ssl_server_credentials(
            self._given, self._changed, require_client_authentication=self._authority is not None
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        config = self._files.get().config
        if config is self._given:
            return None
        self._given = config
        return config

    def _load(self) -> _Loaded:
        chain, key = _read("tls_cert", self._certificate), _read("tls_key", self._key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._certificate, self._key, password=lambda: b"")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise CollectorError(
                f"tls_cert {self._certificate} and tls_key {self._key} cannot be used: they must be a certificate and "
                f"its key, in PEM, without a password ({_reason(error)})."
            ) from error
        authority = None
        if self._authority is not None:
            authority = _read("tls_client_ca", self._authority)
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(self._authority)
            except (ssl.SSLError, OSError) as error:
                message = f"tls_client_ca {self._authority} holds no certificates in PEM ({_reason(error)})."
                raise CollectorError(message) from error
        config = grpc.ssl_server_certificate_configuration([(key, chain)], authority)
        return _Loaded(chain, context, config)


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CollectorError(f"{setting} {path} cannot be read: {error.strerror}.") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)
