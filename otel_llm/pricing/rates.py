"""The prices of one model at one moment, and the arithmetic.

Everything is an integer: a price is kept in femtodollars (1e-15 USD) a token, in which every listed price is whole, and
each part of a cost is rounded once, half up, to nanodollars (1e-9 USD), the precision of the stored columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from .usage import Usage

#: USD per million tokens as a decimal, or ``[base, [start, price], …]`` where it depends on the size of the request.
Price = str | Sequence[str | Sequence[int | str]]

#: What a bucket without a price of its own is charged as, in order of preference.
FALLBACK: dict[str, tuple[str, ...]] = {
    "input": (),
    "output": (),
    "cache_read": ("input",),
    "cache_write": ("input",),
    "reasoning": ("output",),
    "audio_input": ("input",),
    "image_input": ("input",),
    "video_input": ("input",),
    "audio_cache_read": ("cache_read", "audio_input", "input"),
    "image_cache_read": ("cache_read", "image_input", "input"),
    "audio_output": ("output",),
    "image_output": ("output",),
}

#: Nanodollars for input, output, cached and cache write, and why they may not be the whole truth.
Charge = tuple[int, int, int, int, str]

_TEXT_ONLY = (0,) * 7
_HALF, _NANO = 500_000, 1_000_000


class Rates:
    """Prices for every bucket of :class:`Usage` and for requests of every size.

    Where a price has steps, that of the highest ``start`` which the whole input exceeds applies to all tokens.
    ``problem`` is a doubt that holds for every call; ``version`` names the price list.
    """

    __slots__ = ("_base", "_input", "_output", "_steps", "problem", "version")

    def __init__(self, prices: Mapping[str, Price], version: str, problem: str = "") -> None:
        starts = {int(step[0]) for price in prices.values() if not isinstance(price, str) for step in price[1:]}
        self._base = _vector(prices, 0)
        self._steps = tuple((start, _vector(prices, start)) for start in sorted(starts))
        self._input = "input" in prices
        self._output = "output" in prices
        self.version = version
        self.problem = problem

    def charge(self, usage: tuple[int, ...]) -> Charge | None:
        """What the call costs, or None when nothing that it used has a price; ``usage`` as :class:`Usage` lists it.

        Counts that contradict each other are cut to what is possible, and ``problem`` says so.
        """
        problem = self.problem
        total, output, read, write, thought = usage[:5]
        if (total and not self._input) or (output and not self._output):
            if not (total and self._input) and not (output and self._output):
                return None
            problem = f"the model has no price for {'output' if self._input else 'input'} tokens"
        rates = self._base
        for start, step in self._steps:
            if total > start:
                rates = step
        if (
            usage[5:] == _TEXT_ONLY
            and rates[1] == rates[4]
            and 0 <= thought <= output
            and read >= 0
            and write >= 0
            and read + write <= total
        ):
            return (
                ((total - read - write) * rates[0] + _HALF) // _NANO,
                (output * rates[1] + _HALF) // _NANO,
                (read * rates[2] + _HALF) // _NANO,
                (write * rates[3] + _HALF) // _NANO,
                problem,
            )
        tokens, doubt = split(Usage._make(usage))
        costs = [count * rate for count, rate in zip(tokens, rates, strict=True)]
        fresh, text, text_read, written, thinking, audio, image, video, audio_read, image_read, speech, picture = costs
        return (
            (fresh + audio + image + video + _HALF) // _NANO,
            (text + thinking + speech + picture + _HALF) // _NANO,
            (text_read + audio_read + image_read + _HALF) // _NANO,
            (written + _HALF) // _NANO,
            doubt or problem,
        )


def split(usage: Usage) -> tuple[Usage, str]:
    """The same tokens with each counted once, in its most special bucket, and what was wrong with the counts.

    Providers rarely say which cached tokens were audio or images: as few as make the counts fit are taken to be.
    """
    total, output, read, write, thought, audio, image, video, audio_read, image_read, speech, picture = (
        max(0, count) for count in usage
    )
    problem = "negative token counts were reported" if min(usage) < 0 else ""
    if read + write > total:
        problem = "more cached tokens than input tokens were reported"
        read = min(read, total)
        write = min(write, total - read)
    if thought + speech + picture > output:
        problem = "more reasoning, audio and image tokens than output tokens were reported"
        thought = min(thought, output)
        speech = min(speech, output - thought)
        picture = min(picture, output - thought - speech)
    audio_read = min(audio_read, audio, read)
    image_read = min(image_read, image, read - audio_read)
    text_read = read - audio_read - image_read
    fresh = total - read - write
    excess = (audio - audio_read) + (image - image_read) + video - fresh
    if excess > 0:
        more_audio = min(excess, text_read, audio - audio_read)
        more_image = min(excess - more_audio, text_read - more_audio, image - image_read)
        more_video = min(excess - more_audio - more_image, text_read - more_audio - more_image, video)
        audio_read, image_read, video = audio_read + more_audio, image_read + more_image, video - more_video
        text_read -= more_audio + more_image
        if excess > more_audio + more_image + more_video:
            problem = "more audio, image and video tokens than input tokens were reported"
    audio = min(audio - audio_read, fresh)
    image = min(image - image_read, fresh - audio)
    video = min(video, fresh - audio - image)
    text = output - thought - speech - picture
    tokens = Usage(
        fresh - audio - image - video,
        text,
        text_read,
        write,
        thought,
        audio,
        image,
        video,
        audio_read,
        image_read,
        speech,
        picture,
    )
    return tokens, problem


def _vector(prices: Mapping[str, Price], size: int) -> tuple[int, ...]:
    """Femtodollars a token for each bucket, in the order of :class:`Usage`, for a request of more than ``size``."""
    return tuple(
        _femto(next((prices[n] for n in (name, *FALLBACK[name]) if n in prices), "0"), size) for name in FALLBACK
    )


def _femto(price: Price, size: int) -> int:
    if not isinstance(price, str):
        base, *steps = price
        price = str([base, *(step[1] for step in steps if int(step[0]) <= size)][-1])
    return int(Decimal(price).scaleb(9))
