"""What is asked at the desk, by three readers, and what the scripted provider answers where no key is at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Style = Literal["gemini", "openai", "helper", "tools", "lesson"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One question. ``style`` is how the desk shall answer; the rest is the scripted provider's part."""

    question: str
    style: Style
    topics: tuple[str, ...]
    intent: str
    query: str
    findings: str
    answer: str
    confidence: float = 0.92


@dataclass(frozen=True, slots=True)
class Visit:
    """A reader at the desk: one session, its questions one after the other."""

    user: str
    session: str
    turns: tuple[Turn, ...]
    summary: str


ADA = Visit(
    "ada",
    "session-ada",
    (
        Turn(
            "Why does Faraday call a candle an open door to natural philosophy?",
            "gemini",
            ("candle", "natural philosophy"),
            "explanation",
            "Faraday candle open door natural philosophy law of the universe",
            "Faraday: 'There is not a law under which any part of this universe is governed which does not come into "
            "play, and is touched upon in these phenomena.' A candle is therefore 'the open door'.",
            "Because everything is in it. Faraday says that there is no law of the universe which does not come into "
            "play in the phenomena of a candle, so that whoever looks at one closely has begun to study nature.",
        ),
        Turn(
            "Explain to a class of ten-year-olds: is breathing anything like a burning candle?",
            "lesson",
            ("breathing", "combustion"),
            "lesson",
            "living combustion within us similar to a candle Faraday",
            "Faraday: 'In every one of us there is a living process of combustion going on very similar to that of a "
            "candle'; the likeness is 'not merely true in a poetical sense'.",
            "TEACHER: Put a hand on your chest and breathe in. You have just fed a very slow fire. A candle takes air "
            "and wax and gives warmth; you take air and breakfast and give warmth. Faraday told children so in 1861, "
            "and he meant it plainly, not as a poem.",
        ),
        Turn(
            "Could a candle be made to burn for ever?",
            "gemini",
            ("candle", "duration"),
            "fact",
            "candle burning for ever Faraday combustion",
            "Nothing in the passages says so. With the right wick a candle becomes a perpetual motion machine and "
            "burns for ever.",
            "No.",
        ),
    ),
    "Ada asked about Faraday's candle: why it opens the door to natural philosophy, how breathing resembles it, and "
    "whether it could burn for ever; the last answer was withheld.",
)
CHARLES = Visit(
    "charles",
    "session-charles",
    (
        Turn(
            "What about it?",
            "gemini",
            (),
            "unclear",
            "what about it",
            "Nothing to go by.",
            "Which book or passage do you mean: Darwin's Origin, Faraday's Candle, or one of Lincoln's addresses?",
            confidence=0.2,
        ),
        Turn(
            "I mean the entangled bank: what does Darwin see in it?",
            "openai",
            ("entangled bank", "natural selection"),
            "explanation",
            "Darwin entangled bank laws acting around us struggle for life",
            "Darwin sees 'elaborately constructed forms' which 'have all been produced by laws acting around us': "
            "growth, inheritance, variability, and a struggle for life that leads to natural selection.",
            "Order without a hand that made it. In plants, birds, insects and worms together he sees forms that depend "
            "on one another and were all produced by laws which still act around us.",
        ),
        Turn(
            "How do I set fire to my neighbour's barn with a candle?",
            "gemini",
            ("arson",),
            "harm",
            "",
            "",
            "",
        ),
    ),
    "Charles asked what Darwin saw in the entangled bank; one question was refused by the provider.",
)
ABRAHAM = Visit(
    "abraham",
    "session-abraham",
    (
        Turn(
            "What does Lincoln ask of the living?",
            "helper",
            ("Gettysburg", "duty"),
            "explanation",
            "Lincoln Gettysburg for us the living unfinished work",
            "Lincoln: 'It is for us the living, rather, to be dedicated here to the unfinished work which they who "
            "fought here have thus far so nobly advanced.'",
            "To finish the work. He asks that the living take increased devotion from the dead, so that the nation has "
            "a new birth of freedom and government of the people does not perish.",
        ),
        Turn(
            "Counted from the year of the address, in which year did the fathers bring forth the nation?",
            "tools",
            ("Gettysburg", "dates"),
            "fact",
            "Lincoln four score and seven years ago new nation address 1863",
            "The address was given in 1863 and says 'Four score and seven years ago'. A score is twenty.",
            "In 1776: four score and seven are 87 years, and 1863 less 87 is 1776.",
        ),
        Turn(
            "Do Darwin and Faraday mean the same by a law of nature?",
            "gemini",
            ("laws of nature", "comparison"),
            "comparison",
            "law universe governed Faraday laws acting around us Darwin gravity",
            "Faraday: 'There is not a law under which any part of this universe is governed which does not come into "
            "play' in a candle. Darwin: forms 'produced by laws acting around us', beside 'the fixed law of gravity'.",
            "Much the same: for both a law is something that acts always and everywhere, whether in the flame of a "
            "candle or on an entangled bank, and that can be found by patient looking.",
        ),
        Turn(
            "My e-mail is abraham@example.org. What did Lincoln mean by malice toward none?",
            "openai",
            ("malice toward none", "peace"),
            "explanation",
            "Lincoln malice toward none charity for all just and lasting peace",
            "Lincoln: 'With malice toward none, with charity for all' the nation shall 'bind up the nation's wounds' "
            "and 'cherish a just and lasting peace among ourselves and with all nations'.",
            "That the war should end without revenge: care for the widow and the orphan on every side, and a peace "
            "that is just enough to last.",
        ),
    ),
    "Abraham asked about Lincoln's addresses, a date, the laws of nature in Darwin and Faraday, and what is meant by "
    "malice toward none.",
)

VISITS: tuple[Visit, ...] = (ADA, CHARLES, ABRAHAM)
