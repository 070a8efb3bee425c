"""What many clusters share: SSH connections, looks at hosts, surveys."""

from __future__ import annotations

import pytest

from failoverd.daemon import pace as paces
from failoverd.daemon.pace import BURST, HOST_LOOKS_A_SECOND, Pace
from failoverd.transport.ssh_lines import KEPT_S, SshLines


class Host:
    def __init__(self):
        self.in_use = False
        self.open = True

    def hang_up(self):
        self.open = False


@pytest.fixture
def now():
    return [1000.0]


def lines(now, most):
    return SshLines(lambda: now[0], most)


def opened(lines):
    lines.make_room()
    host = Host()
    lines.use(host)
    return host


def test_the_connection_that_was_not_used_for_longest_makes_room(now):
    all_of_them = lines(now, 3)
    first, second, third = (opened(all_of_them) for _ in range(3))
    now[0] += KEPT_S + 1
    all_of_them.use(first)
    fourth = opened(all_of_them)
    assert [one.open for one in (first, second, third, fourth)] == [True, False, True, True]
    assert len(all_of_them) == 3


def test_what_is_used_every_second_or_at_the_moment_is_never_closed_for_another(now):
    all_of_them = lines(now, 2)
    renewed, busy = opened(all_of_them), opened(all_of_them)
    busy.in_use = True
    for _ in range(60):
        now[0] += 1
        all_of_them.use(renewed)
        opened(all_of_them)
    assert renewed.open
    assert busy.open
    # Never waited for: beyond the limit are those that were used just now.
    assert len(all_of_them) <= 2 + KEPT_S + 1


def test_more_than_the_limit_are_closed_as_soon_as_they_may_be(now):
    all_of_them = lines(now, 2)
    burst = [opened(all_of_them) for _ in range(50)]
    assert all(one.open for one in burst)
    now[0] += KEPT_S
    last = opened(all_of_them)
    assert len(all_of_them) == 2
    assert last.open


def test_few_nodes_are_looked_at_as_ever_and_many_never_more_often_than_so_many_a_second(
    now, monkeypatch
):
    monkeypatch.setattr(paces.clock, "monotonic", lambda: now[0])
    assert Pace(100).host_look_every_s == 10.0
    assert Pace(2000).host_look_every_s == 2000 / HOST_LOOKS_A_SECOND
    assert Pace(2).survey_every_s == 45.0
    pace, looks = Pace(2000), 0
    for _ in range(600):
        now[0] += 0.1
        looks += sum(pace.may_look() for _ in range(20))
    assert looks <= BURST + 60 * HOST_LOOKS_A_SECOND
    assert looks >= 60 * HOST_LOOKS_A_SECOND - 1
