"""A primary that something else starts: a systemd unit, and each boot of its host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from tests.lab.cluster import watched
from tests.lab.nobody_left import old_primary_takes_writes_again
from tests.lab.systemd_host import POSTGRES, UNIT, SystemdHost

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

BY_UNIT = {"pg1": {"postgres": {"service": UNIT}}}
SLOW_TO_RESTART = POSTGRES.replace("RestartSec=100ms", "RestartSec=5s")


class OfAPackage(SystemdHost):
    """Its unit lies in /lib, as packages have it: it can be masked."""


class OfAnAdministrator(SystemdHost):
    """Its unit lies in /etc/systemd/system: systemd refuses to mask it."""

    units: ClassVar[Mapping[str, str]] = {f"etc/systemd/system/{UNIT}.service": POSTGRES}


class SlowToRestart(SystemdHost):
    """Its server is down for 5 s before systemd starts it again."""

    units: ClassVar[Mapping[str, str]] = {f"lib/systemd/system/{UNIT}.service": SLOW_TO_RESTART}


class WithoutMask(SystemdHost):
    """Its owner may have the unit started and stopped, and nothing else."""

    may = ("start", "stop")


def kept_down(w, how):
    w.wait(lambda: "stopped, and kept so" in w.daemon.log_text, 30, "pg1 was told to stay down")
    said = w.daemon.log_text
    assert f"stopped, and kept so: {how}" in said
    # None of it delays a promotion.
    assert said.index("promoted: pg2") < said.index("stopped, and kept so")
    assert w.pg1.postmaster is None
    assert w.pg1.show("ActiveState") in ("inactive", "failed")
    assert w.status()["nodes"]["pg1"]["job"] == "quarantined"


def nothing_is_lost_and_one_writes(w):
    w.ledger.wait_for(20)
    assert w.ledger.check(w.pg2, enough=20).lost == ()
    assert not w.pg2.in_recovery


@pytest.mark.parametrize(
    ("kind", "how", "enabled"),
    [
        (OfAPackage, f"{UNIT} is masked", "masked"),
        pytest.param(
            OfAnAdministrator, f"{UNIT} is disabled", "disabled", marks=pytest.mark.campaign
        ),
    ],
)
def test_a_unit_that_always_restarts_comes_up_read_only_and_is_then_kept_down_over_a_boot(
    lab, kind, how, enabled
):
    w = watched(lab, rate=50, kind=kind, nodes=BY_UNIT, rejoin="manual")
    w.pg1.sigstop_all()
    w.wait_until_failed_over(40)
    kept_down(w, how)
    assert w.pg1.run(["systemctl", "is-enabled", UNIT], check=False).stdout.strip() == enabled
    w.pg1.reboot(lab.network)
    w.wait(lambda: w.status()["nodes"]["pg1"]["host"] == "ok", 20, "its host answers again")
    assert w.pg1.postmaster is None
    assert w.pg1.show("ActiveState") == "inactive"
    # By whoever's hand it is started all the same, it takes no writes.
    w.pg1.run(["systemctl", "unmask", UNIT])
    w.pg1.start()
    assert w.pg1.in_recovery
    nothing_is_lost_and_one_writes(w)


def test_a_crash_that_systemd_is_slow_to_mend_is_over_before_it_and_stays_down(lab):
    w = watched(lab, rate=50, kind=SlowToRestart, nodes=BY_UNIT, rejoin="manual")
    w.pg1.kill9_all()
    w.wait_until_failed_over()
    kept_down(w, f"{UNIT} is masked")
    nothing_is_lost_and_one_writes(w)


def test_without_the_right_to_mask_the_guard_holds_over_a_boot(lab):
    """The host boots with PostgreSQL in its boot, and gets a standby of nobody."""
    w = watched(lab, rate=50, kind=WithoutMask, nodes=BY_UNIT, rejoin="manual")
    w.pg1.sigstop_all()
    w.wait_until_failed_over(40)
    kept_down(w, "by its guard alone (systemctl mask postgresql-lab: sudo: a password is required)")
    boot_id = w.pg1.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout
    w.pg1.reboot(lab.network)
    assert w.pg1.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout != boot_id
    w.wait(lambda: w.status()["nodes"]["pg1"]["role"] == "standby", 30, "pg1 is up, read-only")
    assert w.pg1.in_recovery
    assert w.status()["nodes"]["pg1"]["guard"] == "ours"
    assert w.status()["state"] == "watching"
    nothing_is_lost_and_one_writes(w)


@pytest.mark.campaign
def test_where_nobody_can_take_over_any_more_its_unit_starts_the_old_primary_again(lab):
    w = watched(lab, rate=50, kind=SlowToRestart, nodes=BY_UNIT, rejoin="manual")
    old_primary_takes_writes_again(lab, w, lambda: w.pg1.systemctl("stop", UNIT))
    assert "started again as the primary" in w.daemon.log_text
    assert w.pg1.postmaster is not None
    assert w.pg1.show("MainPID") == str(w.pg1.postmaster.pid)


@pytest.mark.campaign
def test_what_is_printed_for_a_human_fences_a_unit_that_always_restarts(lab):
    """Typed as it stands: the guard first, or systemd has it writable again at once."""
    w = watched(lab, rate=50, kind=OfAPackage, nodes=BY_UNIT, rejoin="manual")
    lab.drop(lab.monitor, w.pg1, 22)
    w.pg1.sigstop_all()
    advice = lab.monitor.wait_for_state("blocked", 60)["blocked"]["advice"]
    typed = advice.partition("data directory: ")[2].partition("),")[0]
    assert typed.endswith(f"; sudo systemctl stop {UNIT}")
    w.pg1.run(["sh", "-c", typed], user="postgres")
    assert w.pg1.postmaster is None
    vouched = ("fenced", "pg1", "--reason", "I have typed it", "--yes")
    w.wait(
        lambda: lab.monitor.failoverd(*vouched, check=False).returncode == 0,
        40,
        "it is seen that pg1 does not answer any more",
    )
    w.wait_until_failed_over(40)
    w.pg1.start()
    assert w.pg1.in_recovery
