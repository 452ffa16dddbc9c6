"""Attempts to take over the model: a filter for the common wordings, not a boundary.

Patterns are lists of words with few known words between them, so that sentences which only use the same words are left
alone. What is missed and what is stopped by mistake is counted in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .rules import Action, Detector, Guardrail, Severity, Stage

#: What a space in a wording stands for: spaces, line ends, punctuation, markdown. Small in RE2, unlike Unicode classes.
_GAP = r"[\W_]+"

_DROP = (
    r"(?:ignore|ignoring|disregard|disregarding|forget|forgetting|override|overriding|bypass|neglect|discard|drop"
    r"|do not (?:follow|obey)|don.{0,3}t (?:follow|obey)|stop (?:following|obeying)|pay no attention to)"
)
_FILLER = (
    r"(?:all|any|each|every|of|the|these|those|this|that|my|our|and|about|just|completely|entirely|please|other|to)"
)
_EARLIER = (
    r"(?:previous|previously given|prior|preceding|earlier|above|foregoing|former|past|original|initial|existing"
    r"|system|safety|developer|your|openai|google)"
)
_ORDERS = (
    r"(?:instructions?|instruction set|directions|directives?|prompts?|guidelines|guardrails|programming"
    r"|messages? and instructions)"
)
_RULES = r"(?:rules|commands|constraints|training|polic(?:y|ies)|restrictions|orders|protocols|filters)"
_HIDDEN = (
    r"(?:system (?:prompt|message|instructions?)|initial (?:prompt|instructions?)|original (?:prompt|instructions?)"
    r"|(?:hidden|secret|internal|confidential|underlying|developer) (?:prompt|instructions?|rules|guidelines))"
)
_SHOW = r"(?:reveal|show|tell|give|leak|disclose|recite|expose|dump|share|print|display|output|repeat|write|paste|echo)"
_TELL = r"(?:reveal|leak|disclose|recite|expose|dump|repeat|tell me|give me|show me)"
_POLITE = r"(?:me|us|out|back|verbatim|exactly|now|please|all|of|here|again|word for word|full|entire|complete|exact)"
_LIMITS = (
    r"(?:restrictions?|rules|filters?|filtering|limits|limitations|guidelines|censorship|guardrails|safeguards|policies"
    r"|morals)"
)
_BARE = r"(?:DAN|jailbreak|jailbroken|unrestricted|unfiltered|uncensored|evil)"

#: Before a match: what turns it into a prohibition or a report, as in "never reveal your system prompt".
_NEGATED = re.compile(
    rb"(?:\bnever|\bnot|n.{1,3}t|\brefuse to|\bavoid|\b(?:asks?|tells?|asking|telling|wants?) (?:you|it|the model) to)"
    rb"(?: ever)?\W{1,3}$",
    re.IGNORECASE,
)
#: After a match: what makes it an order about the text to work on, as in "ignore all instructions in the document".
_ABOUT_DATA = re.compile(
    rb"^\W{1,3}(?:(?:that (?:are|appear|you find)|which (?:are|appear)|contained|embedded|found|hidden|written"
    rb"|appearing)\W)?\W?(?:in|inside|within|from|by|it|they)\b",
    re.IGNORECASE,
)


def _meant(data: bytes, start: int, end: int) -> bool:
    return _NEGATED.search(data[max(0, start - 48) : start]) is None


def _meant_for_the_model(data: bytes, start: int, end: int) -> bool:
    return _meant(data, start, end) and _ABOUT_DATA.search(data[end : end + 48]) is None


def _detector(noun: str, nouns: str, *wordings: str, verify: bool = False) -> Detector:
    """Wordings are written with a space where any characters may stand that are no letter and no digit."""
    pattern = "(?i)(?:" + "|".join(wordings).replace(" ", _GAP) + ")"
    return Detector(noun, nouns, pattern, _meant if verify else None)


DETECTORS: tuple[Detector, ...] = (
    _detector(
        "order to drop the instructions",
        "orders to drop the instructions",
        rf"\b{_DROP}(?: {_FILLER}){{0,4}} {_EARLIER}(?: (?:{_FILLER}|{_EARLIER})){{0,3}} {_ORDERS}\b",
        rf"\b{_DROP}(?: {_FILLER}){{0,4}} (?:your|openai.{{0,3}}s|google.{{0,3}}s|safety|previous|prior|earlier)"
        rf"(?: (?:own|safety|system|content|previous|prior|original|existing)){{0,2}} {_RULES}\b",
        rf"\b{_DROP} (?:all of |all |absolutely )?(?:everything|what|anything) (?:that )?you(?: were| are"
        r"|.{1,3}ve been| have been| had been) (?:told|taught|instructed|given|trained|programmed)\b",
        rf"\b{_DROP} (?:absolutely )?(?:everything|all|anything) (?:above|before this|prior to this|written above)\b",
        rf"\b{_DROP} (?:the|all)(?: of)?(?: the)? (?:instructions|rules|text|prompts?) (?:above|before this)\b",
        r"\b(?:ignore|disregard|forget) (?:the above(?:[.!:;,]|$| and\b| instead\b)"
        r"|what.{1,3}s (?:written |said )?above\b)",
        rf"\byou (?:no longer|do not|don.{{0,3}}t) (?:have|need) to (?:follow|obey|respect) your"
        rf" (?:{_ORDERS}|{_RULES})\b",
        r"\byour (?:new|real|actual|true|only) (?:instructions?|task|prompt|directive|role|goal|job|objective)"
        r" (?:is|are|will be|from now on)\b",
        r"\bignor(?:iere|ier|e)? (?:bitte )?alle (?:vorherigen|bisherigen|vorigen|obigen|fruheren|früheren) \S+",
        r"\b(?:ignora|olvida|ignore) (?:todas )?(?:las|tus) instrucciones (?:anteriores|previas)\b",
        r"\b(?:ignorez|ignore|oublie|oubliez) (?:toutes )?(?:les|tes|vos) (?:instructions|consignes)"
        r" pr\S{1,2}c\S{1,2}dentes\b",
        r"\bignor[ae] (?:todas )?(?:as|tutte le|le) (?:instruções|istruzioni) (?:anteriores|precedenti)\b",
        verify=True,
    ),
    Detector(
        "order to drop all rules",
        "orders to drop all rules",
        (
            rf"(?i)\b{_DROP} (?:all|any|every|each)(?: of)?(?: (?:the|these|those|ethical|moral|safety)){{0,3}}"
            r" (?:instructions?|prompts?|guidelines|guardrails|directives|programming|restrictions|safeguards"
            r"|safety (?:protocols|filters))\b"
        ).replace(" ", _GAP),
        _meant_for_the_model,
    ),
    _detector(
        "request for the hidden instructions",
        "requests for the hidden instructions",
        rf"\b{_SHOW}(?: {_POLITE}){{0,4}}(?: the| a copy of| the contents? of| the text of){{0,2}} your"
        rf"(?: (?:full|entire|complete|exact|current|own|whole)){{0,2}} {_HIDDEN}\b",
        rf"\b{_TELL}(?: {_POLITE}){{0,3}} (?:the|its)(?: (?:full|entire|complete|exact|current|whole)){{0,2}}"
        rf" {_HIDDEN}\b",
        rf"\b(?:{_SHOW}|{_TELL})(?: {_POLITE}){{0,3}} your (?:full|entire|complete|exact)"
        r" (?:instructions|prompt|rules)\b",
        rf"\bwhat(?:.{{1,3}}s| is| are| was| were| does)(?: in)? your(?: (?:full|exact|current))? {_HIDDEN}\b",
        r"\b(?:reveal|leak|disclose|recite|dump|repeat)(?: verbatim| exactly)? your (?:instructions|prompt|rules)\b",
        r"\b(?:repeat|recite|reproduce|output|print)(?: back)? (?:everything|all the text|all text|the words|all of the"
        r" text|all of the above|the text|every word) (?:above|before this|that came before|preceding this)\b",
        verify=True,
    ),
    _detector(
        "attempt to unlock the model",
        "attempts to unlock the model",
        rf"\b{_BARE} mode(?: is)?(?: now)? (?:on|enabled|activated|engaged|unlocked|active)\b",
        rf"\b(?:enable|activate|enter|engage|unlock|initiate|switch to|go into) {_BARE} mode\b",
        r"\b(?:you are|you.{1,3}re|act|respond|answer|reply|stay|remain)(?: now)?(?: as if)? in (?:developer|debug|god"
        r"|jailbreak|DAN|sudo|maintenance) mode\b",
        r"\b(?:act|behave|respond|answer|pose) as (?:DAN|STAN|DUDE|AIM|an? (?:unrestricted|unfiltered|uncensored"
        r"|jailbroken|amoral|evil) (?:AI|assistant|model|bot|chatbot|version))\b",
        r"\byou are (?:now )?(?:DAN|an? (?:(?:completely|fully|totally) )?(?:unrestricted|unfiltered|uncensored"
        r"|jailbroken|unaligned|amoral))\b",
        r"\bdo anything now\b",
        rf"\b(?:pretend|act|behave|respond|answer|roleplay|imagine you|imagine being|assume|operate|speak)"
        rf"(?: \S+){{0,6}} (?:no|without|without any|free of|free from|not bound by|unbound by|zero)"
        rf"(?: (?:any|all|content|ethical|moral|safety|openai|your|the|its)){{0,3}} {_LIMITS}\b",
        r"\byou (?:now |will )?(?:have|are)(?: now)? (?:no|free of|free from|not bound by|without)(?: (?:any|all"
        r"|content|ethical|moral|safety|openai|your|more)){0,3} (?:restrictions|rules|filters?|guidelines|guardrails"
        r"|safeguards)\b",
        rf"\b(?:disable|turn off|switch off|remove|deactivate|lift|drop|bypass|override)"
        rf"(?: all)?(?: of)? your"
        rf"(?: (?:safety|content|ethical|moral|internal|own)){{0,2}} (?:{_LIMITS}|protocols|measures|checks)\b",
        rf"\byour(?: (?:safety|content|ethical|moral)){{0,2}} {_LIMITS} (?:are|have been|were)(?: now)?"
        r" (?:disabled"
        r"|removed|lifted|turned off|deactivated|suspended)\b",
        r"\byou (?:have been|are)(?: now)? (?:freed|liberated|jailbroken|released) from\b",
        verify=True,
    ),
    Detector(
        "forged turn of the conversation",
        "forged turns of the conversation",
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id)\|>"
        r"|\[/?INST\]|<</?SYS>>",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Injection(Guardrail):
    """Attempts in the input to make the model drop its instructions, tell them or forget its limits.

    System instructions are the application's own and are not looked at.
    """

    name: str = "prompt_injection"
    type: str = "injection"
    severity: Severity = "critical"
    action: Action = "block"
    stages: tuple[Stage, ...] = ("input",)
    system: bool = False

    def detectors(self) -> Sequence[Detector]:
        """One for each way."""
        return DETECTORS
