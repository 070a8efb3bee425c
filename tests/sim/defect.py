"""A deliberate defect: a replacement of text, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    name: str
    file: str
    old: str
    new: str
    sentence: str


def of(file: str, *defects: tuple[str, str, str, str]) -> list[Mutation]:
    return [Mutation(name, file, old, new, sentence) for name, old, new, sentence in defects]
