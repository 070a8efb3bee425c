"""Every condition of the table in docs/detection.md, on real servers and hosts.

`make lab` tries one condition of each diagnosis and outcome, and those that once went wrong;
`make detection` tries them all.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.detection.condition import Condition
from tests.lab.detection.lost import LOST
from tests.lab.detection.network import NETWORK
from tests.lab.detection.ours import OURS
from tests.lab.detection.refusing import REFUSING
from tests.lab.detection.trial import try_condition
from tests.lab.detection.writing import WRITING

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

CONDITIONS: tuple[Condition, ...] = (*REFUSING, *WRITING, *NETWORK, *OURS, *LOST)


def cases() -> Iterator[object]:
    seen: set[tuple[str, bool]] = set()
    for condition in CONDITIONS:
        kind = (condition.diagnosis, condition.fails_over)
        always = kind not in seen or condition.went_wrong
        seen.add(kind)
        marks = () if always else (pytest.mark.campaign,)
        yield pytest.param(condition, id=condition.name, marks=marks)


@pytest.mark.parametrize("condition", tuple(cases()))
def test_a_condition_comes_to_what_the_table_says(pairs, condition):
    try:
        w = pairs.of(condition)
        try_condition(w, condition)
        pairs.settle(w, condition)
    except BaseException:
        pairs.spoil()
        raise
