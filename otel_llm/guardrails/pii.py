"""Personal data and secrets, by patterns whose matches are checked: numbers by their checksums, keys by their prefixes.

What only looks like them is left alone: UUIDs, trace ids, hashes, timestamps, versions and order numbers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from otel_llm.errors import ConfigError

from .rules import Detector, Guardrail

#: Endings of file names that follow an @ in names such as logo@2x.png.
_FILES = frozenset((b"css", b"gif", b"html", b"jpeg", b"jpg", b"js", b"json", b"md", b"png", b"svg", b"ts", b"webp"))

#: Length of an IBAN by country.
_IBAN = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip


def _digits(data: bytes, start: int, end: int) -> str:
    return "".join(chr(byte) for byte in data[start:end] if 48 <= byte <= 57)


def _alone(data: bytes, start: int, end: int) -> bool:
    """Whether the span is whole, not a part of a UUID, a path or a longer number."""
    before, after = data[max(0, start - 1) : start], data[end : end + 2]
    if before.isalnum() or before in (b"-", b"_", b".", b"+"):
        return False
    return not (after[:1].isalnum() or after[:1] in (b"-", b"_") or (after[:1] == b"." and after[1:].isdigit()))


def _email(data: bytes, start: int, end: int) -> bool:
    local, _, domain = data[start:end].partition(b"@")
    return local != b"git" and domain.rpartition(b".")[2].lower() not in _FILES


def _phone(data: bytes, start: int, end: int) -> bool:
    digits = _digits(data, start, end)
    raw = data[start:end]
    if not _alone(data, start, end):
        return False
    if not raw.startswith(b"+"):
        return digits[0] >= "2" and digits[3] >= "2" and digits[1:3] != "11"
    date = digits[:2] in ("19", "20") and raw[5:6] == b"-" and raw[8:9] == b"-"
    return 8 <= len(digits) <= (15 if len(raw) > len(digits) + 1 else 13) and not date


def _ssn(data: bytes, start: int, end: int) -> bool:
    area, group, serial = data[start:end].split(b"-")
    possible = area not in (b"000", b"666") and area < b"900" and group != b"00" and serial != b"0000"
    return possible and _alone(data, start, end)


def _card(data: bytes, start: int, end: int) -> bool:
    digits = _digits(data, start, end)
    length, first, two, four = len(digits), digits[0], int(digits[:2]), int(digits[:4])
    known = (
        (length == 16 and (first == "4" or 51 <= two <= 55 or 2221 <= four <= 2720))  # Visa, Mastercard
        or (length == 15 and two in (34, 37))  # American Express
        or (length == 16 and (four == 6011 or two in (62, 65) or 3528 <= four <= 3589 or 644 <= four // 10 <= 649))
        or (length == 14 and (two in (36, 38, 39) or 300 <= four // 10 <= 305))  # Diners Club
    )
    return known and _luhn(digits) and _alone(data, start, end)


def _luhn(digits: str) -> bool:
    doubled = (2 * int(each) for each in digits[-2::-2])
    return (sum(int(each) for each in digits[::-2]) + sum(each - 9 * (each > 9) for each in doubled)) % 10 == 0


def _iban(data: bytes, start: int, end: int) -> bool:
    """The match may run on into words in capitals: as many characters count as the country's IBAN has."""
    raw = data[start:end].decode("ascii")
    length = _IBAN.get(raw[:2])
    if length is None:
        return False
    compact = ""
    for offset, each in enumerate(raw):
        compact += each.strip()
        if len(compact) == length:
            number = "".join(str(int(part, 36)) for part in compact[4:] + compact[:4])
            return int(number) % 97 == 1 and _alone(data, start, start + offset + 1)
    return False


def _ip(data: bytes, start: int, end: int) -> bool:
    """A public address; not one of a private network, a version such as Chrome/120.0.0.0 or a part of a number."""
    if not _alone(data, start, end) or (data[start - 1 : start] == b"/" and data[start - 2 : start - 1] != b"/"):
        return False
    try:
        return ipaddress.ip_address(data[start:end].decode("ascii")).is_global
    except ValueError:
        return False


def _secret(data: bytes, start: int, end: int) -> bool:
    raw = data[start:end]
    return raw.startswith(b"-----") or any(48 <= byte <= 57 for byte in raw)


KINDS: dict[str, Detector] = {
    "email": Detector(
        "e-mail address",
        "e-mail addresses",
        r"(?i)\b[a-z0-9][a-z0-9._%+'-]*@(?:[a-z0-9][a-z0-9-]*\.)+[a-z]{2,}\b",
        _email,
    ),
    "phone": Detector(
        "phone number",
        "phone numbers",
        r"\+[1-9](?:[ .()-]{0,2}\d){7,}|\(\d{3}\) ?\d{3}[-. ]\d{4}\b|\b\d{3}-\d{3}-\d{4}\b|\b\d{3}\.\d{3}\.\d{4}\b",
        _phone,
    ),
    "ssn": Detector("social security number", "social security numbers", r"\b\d{3}-\d{2}-\d{4}\b", _ssn),
    "credit_card": Detector(
        "card number",
        "card numbers",
        r"\b(?:\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}|\d{4}[ -]\d{6}[ -]\d{4,5}|\d{14,16})\b",
        _card,
    ),
    "iban": Detector("IBAN", "IBANs", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", _iban),
    "ip_address": Detector(
        "IP address",
        "IP addresses",
        r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b[23][0-9a-fA-F]{3}:[0-9a-fA-F:]+[0-9a-fA-F]\b",
        _ip,
    ),
    "secret": Detector(
        "key or token",
        "keys or tokens",
        r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
        r"|\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{22,}\b|\bglpat-[A-Za-z0-9_-]{20,}\b"
        r"|\bsk-(?:proj-|svcacct-|admin-|ant-[a-z0-9]{2,8}-)?[A-Za-z0-9_]{20,}\b"
        r"|\bAIza[A-Za-z0-9_-]{35}|\bya29\.[A-Za-z0-9_-]{20,}|\bGOCSPX-[A-Za-z0-9_-]{28}"
        r"|\bxox[abposr]-[A-Za-z0-9-]{10,}\b|\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}\b"
        r"|\bhf_[A-Za-z0-9]{34}\b|\bnpm_[A-Za-z0-9]{36}\b|\bpypi-[A-Za-z0-9_-]{50,}"
        r"|\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"
        r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{10,}"
        r"|-----BEGIN (?:[A-Z]{2,10} ){0,2}PRIVATE KEY-----",
        _secret,
    ),
}


@dataclass(frozen=True, kw_only=True)
class PII(Guardrail):
    """Personal data and secrets; ``kinds`` names some of email, phone, ssn, credit_card, iban, ip_address, secret."""

    name: str = "pii"
    type: str = "pii"
    kinds: tuple[str, ...] = tuple(KINDS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := set(self.kinds) - KINDS.keys():
            raise ConfigError(
                f"Guardrail {self.name}: unknown kind {', '.join(sorted(unknown))}; use {', '.join(KINDS)}."
            )

    def detectors(self) -> Sequence[Detector]:
        """One for each kind."""
        return [KINDS[kind] for kind in self.kinds]
