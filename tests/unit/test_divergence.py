"""Where two lineages parted, and what lies beyond."""

import pytest

from failoverd.core.divergence import Branch, Divergence, branches, fork_point, lineage
from failoverd.core.model import Lsn, NodeName, Timeline

A, B, C = Lsn(100), Lsn(200), Lsn(300)
T1, T2, T3 = Timeline(1), Timeline(2), Timeline(3)
FIRST = lineage(T1, ())


@pytest.mark.parametrize(
    ("one", "other", "fork"),
    [
        (FIRST, lineage(T2, [(T1, A)]), A),
        (lineage(T2, [(T1, A)]), FIRST, A),
        (lineage(T2, [(T1, A)]), lineage(T3, [(T1, A), (T2, B)]), B),
        (lineage(T2, [(T1, A)]), lineage(T3, [(T1, B)]), A),
        (lineage(T3, [(T1, A)]), lineage(T2, [(T1, A)]), A),
        # Promoted apart, and both took the same number.
        (lineage(T2, [(T1, A)]), lineage(T2, [(T1, B)]), A),
        (lineage(T2, [(T1, A)]), lineage(T2, [(T1, A)]), A),
        (FIRST, FIRST, None),
        (lineage(T3, [(T2, A)]), FIRST, None),
    ],
)
def test_the_fork_is_the_last_position_that_both_came_through(one, other, fork):
    assert fork_point(one, other) == fork


def test_what_lies_beyond_the_fork_is_read_timeline_by_timeline():
    assert branches(FIRST, A) == (Branch(T1, A, None),)
    came_far = lineage(T3, [(T1, A), (T2, B)])
    assert branches(came_far, C) == (Branch(T3, C, None),)
    assert branches(came_far, Lsn(50)) == (
        Branch(T1, Lsn(50), A),
        Branch(T2, A, B),
        Branch(T3, B, None),
    )
    # Left exactly where the other went on: nothing of that timeline is its own.
    assert branches(came_far, A) == (Branch(T2, A, B), Branch(T3, B, None))


def divergence(**changes):
    known = {
        "node": NodeName("pg1"), "against": NodeName("pg2"), "timeline": T1, "fork": A,
        "commits": 7, "wal_bytes": 900, "complete": True, "running": False, "commands": ("look",),
    }  # fmt: skip
    return Divergence(**{**known, **changes})


def test_it_says_how_sure_it_is():
    assert divergence().sentence == (
        "pg1 has 7 transactions and 900 bytes of WAL that pg2 has not: they parted at 0/64 of"
        " timeline 1"
    )
    part = divergence(complete=False, running=True).sentence
    assert "at least 7 transactions and at least 900 bytes" in part
    assert part.endswith("and it still takes writes")
