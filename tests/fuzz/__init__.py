"""Fuzzers of what strangers, and crashes, can write. Each is a module that runs for some seconds:

    uv run python -m tests.fuzz.json_intake [--seconds 60] [FILE ...]

With files, only those are run: what a fuzzer left behind when it found something.
"""
