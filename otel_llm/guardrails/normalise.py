"""Undoing the ways to hide a word: full-width and other compatibility forms, invisible characters, tag characters."""

from __future__ import annotations

import unicodedata
from functools import cache

#: Characters that are not seen: format characters, fillers, blanks, variation selectors and tags.
INVISIBLE: tuple[tuple[int, int], ...] = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x0600, 0x0605), (0x061C, 0x061C), (0x06DD, 0x06DD), (0x070F, 0x070F),
    (0x0890, 0x0891), (0x08E2, 0x08E2), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F),
    (0x202A, 0x202E), (0x2060, 0x206F), (0x2800, 0x2800), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x110BD, 0x110BD), (0x110CD, 0x110CD), (0x13430, 0x1343F),
    (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip

#: Finds one of them. A scan looks for it together with the rules, so that a text without any pays nothing.
INVISIBLE_PATTERN = "[" + "".join(f"\\x{{{low:x}}}-\\x{{{high:x}}}" for low, high in INVISIBLE) + "]"


def plain(text: str) -> str:
    """Unicode's compatibility form (NFKC): full-width letters and digits become the usual ones."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def visible(text: str) -> str:
    """The text without what is not seen; tag characters, which models do read, become the letters they stand for."""
    return text.translate(_shown())


@cache
def _shown() -> dict[int, str | None]:
    hidden: dict[int, str | None] = {code: None for low, high in INVISIBLE for code in range(low, high + 1)}
    return hidden | {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}
