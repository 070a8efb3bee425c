"""One judgement on readiness: pass, warn, fail or unknown, a sentence, and a fix to paste."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    PASS = "pass"  # noqa: S105 - a word, no password
    WARN = "warn"
    """A failover would succeed; something after it, or in another case, would not."""
    FAIL = "fail"
    """A failover would not succeed, or not as promised."""
    UNKNOWN = "unknown"
    """It could not be looked at, and another check says why."""


@dataclass(frozen=True, slots=True)
class Judged:
    verdict: Verdict
    sentence: str
    fix: str = ""


def fine(sentence: str) -> Judged:
    return Judged(Verdict.PASS, sentence)


def worry(sentence: str, fix: str) -> Judged:
    return Judged(Verdict.WARN, sentence, fix)


def fault(sentence: str, fix: str) -> Judged:
    return Judged(Verdict.FAIL, sentence, fix)


def untold(sentence: str) -> Judged:
    return Judged(Verdict.UNKNOWN, sentence)


def megabytes(count: int) -> str:
    """For people."""
    if count >= 10 << 30:
        return f"{count / (1 << 30):.0f} GB"
    return f"{count / (1 << 20):.0f} MB" if count >= 10 << 20 else f"{count} bytes"
