"""What the fuzzers share: seeds and limits for libFuzzer, and an exit status."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import atheris

LONGEST = 1 << 14
"""Bytes of an input."""
_HANG_S = 10
"""Seconds that one input may take."""
_MEMORY_MB = 200
"""What the process may have resident, of which it has 60 to begin with."""


Mutate = Callable[[bytes, int, int], bytes]
"""Makes another input of one, of so many bytes at most, by a seed for chance."""


def fuzz(
    target: Callable[[bytes], None], seeds: Iterable[bytes], words: Sequence[bytes] = (), mutate: Mutate | None = None
) -> None:
    """Give the target inputs until the time is over; ends the process, with 0 when none made it raise, or else with 1.

    Inputs are made from the seeds, with the words put in here and there, by libFuzzer or by a way of their own. One
    that takes too long or too much memory counts as one that made it raise. It is kept, and its path is said.
    """
    parser = argparse.ArgumentParser(description=target.__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long (%(default)s)")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="inputs to run again, and nothing else")
    options = parser.parse_args()
    for file in options.files:
        target(file.read_bytes())
    if options.files:
        sys.exit()
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(tempfile.gettempdir(), "otel-llm-fuzz")
        kept.mkdir(exist_ok=True)
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, seed in enumerate(seeds):
            (corpus / str(number)).write_bytes(seed)
        flags = [f"-max_len={LONGEST}", f"-timeout={_HANG_S}", f"-rss_limit_mb={_MEMORY_MB}", "-detect_leaks=0"]
        flags += [f"-max_total_time={options.seconds}", f"-artifact_prefix={kept}/", "-verbosity=0"]
        if words:
            dictionary = Path(folder, "words")
            dictionary.write_text("".join(f'"{_escaped(word)}"\n' for word in words))
            flags.append(f"-dict={dictionary}")
        child = os.fork()
        if not child:
            arguments = [sys.argv[0], *flags, "-print_final_stats=1", str(corpus)]
            atheris.Setup(arguments, target, custom_mutator=mutate)
            atheris.Fuzz()
        _, status = os.waitpid(child, 0)
    sys.exit(1 if status else 0)


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)
