"""What synchronous_standby_names promises."""

from __future__ import annotations

import pytest

from failoverd.core.synchronous import Requirement, parse


@pytest.mark.parametrize(
    ("setting", "count", "names"),
    [
        ("s1", 1, ("s1",)),
        ("s1, s2", 1, ("s1", "s2")),
        ("2 (s1, s2, s3)", 2, ("s1", "s2", "s3")),
        ("FIRST 2 (s1, s2, s3)", 2, ("s1", "s2", "s3")),
        ('any 1 ("S1", s2)', 1, ("s1", "s2")),
        ('ANY 1 ("rack a, s1", "say ""s2""", s3)', 1, ("rack a, s1", 'say "s2"', "s3")),
        ("FIRST 2 (s1,\n s2, s3)", 2, ("s1", "s2", "s3")),
        ("*", 1, ("*",)),
        ("ANY 2 (*)", 2, ("*",)),
    ],
)
def test_every_way_of_writing_it_is_understood(setting, count, names):
    assert parse(setting) == Requirement(count, names)


@pytest.mark.parametrize("setting", ["", "  "])
def test_an_empty_setting_promises_nothing(setting):
    assert parse(setting) is None


def test_names_are_compared_without_case_and_a_star_covers_any():
    requirement = parse("S1")
    assert requirement is not None
    assert requirement.covers("s1")
    assert not requirement.covers("s2")
    anyone = parse("*")
    assert anyone is not None
    assert anyone.covers("whoever")
