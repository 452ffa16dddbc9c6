"""What a call used, in tokens, by the kinds that have a price of their own."""

from __future__ import annotations

from typing import NamedTuple


class Usage(NamedTuple):
    """Token counts of one call.

    ``input`` holds everything that was sent, ``output`` everything that came back; all other counts are parts of one
    of the two, and the ``*_cache_read`` counts are parts of both ``cache_read`` and their modality.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    audio_input: int = 0
    image_input: int = 0
    video_input: int = 0
    audio_cache_read: int = 0
    image_cache_read: int = 0
    audio_output: int = 0
    image_output: int = 0
