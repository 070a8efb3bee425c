"""An application that comes to an address that moves, during real failovers."""

from __future__ import annotations

import pytest

from tests.lab.ways import (
    Way,
    all_lead_to,
    coming_by,
    wait_for_new_primary,
    wait_for_timeline,
    went_on,
)
from tests.waiting import wait_until

pytestmark = pytest.mark.lab

ADDRESS = "192.0.2.100"
TARGET = {"virtual_ip": {"address": f"{ADDRESS}/24", "interface": "eth0"}}
RIGHTS = f"""Defaults !use_pty
postgres ALL=(root) NOPASSWD: /usr/sbin/ip addr add {ADDRESS}/24 dev eth0
postgres ALL=(root) NOPASSWD: /usr/sbin/ip addr del {ADDRESS}/24 dev eth0
postgres ALL=(root) NOPASSWD: /usr/bin/arping *
"""
FAULTS = {
    "killed": lambda host: host.kill9_postmaster(),
    "hung": lambda host: host.sigstop_all(),
}


def at_the_address(lab, **sections):
    def prepare(lab):
        for host in lab.servers:
            host.run(["sh", "-c", "cat >/etc/sudoers.d/failoverd"], input=RIGHTS)
            host.run(["chmod", "440", "/etc/sudoers.d/failoverd"])

    return coming_by(lab, Way("address", ADDRESS), [TARGET], prepare=prepare, **sections)


def has_it(host) -> bool:
    return f"inet {ADDRESS}/" in host.run_in_network(["ip", "-4", "addr", "show", "eth0"])


@pytest.mark.parametrize("fault", ["killed", pytest.param("hung", marks=pytest.mark.campaign)])
def test_an_application_at_a_virtual_ip_goes_on_with_the_new_primary(lab, fault):
    """Its neighbour table says the old host until the new one says otherwise."""
    w = at_the_address(lab)
    assert has_it(w.pg1)
    FAULTS[fault](w.pg1)
    wait_for_timeline(w.ledger, 2, w)
    wait_for_new_primary(w)
    assert has_it(w.pg2)
    assert not has_it(w.pg1)
    went_on(w)
    report = lab.monitor.failoverd("report").stdout
    assert "[x] Applications were sent over: virtual_ip: pg2 has 192.0.2.100/24" in report


@pytest.mark.campaign
def test_it_is_never_added_while_the_old_host_answers_and_keeps_it(lab):
    w = at_the_address(lab, limits={"redirect": "3s"})
    w.pg1.run(["sh", "-c", "cat >/etc/sudoers.d/failoverd"], input="")
    w.pg1.kill9_postmaster()
    wait_for_new_primary(w)
    assert has_it(w.pg1)
    assert not has_it(w.pg2)
    assert "pg1 still has it: 192.0.2.100/24 is still here" in w.daemon.log_text
    w.pg1.run(["sh", "-c", "cat >/etc/sudoers.d/failoverd"], input=RIGHTS)
    wait_for_timeline(w.ledger, 2, w, 40)
    assert has_it(w.pg2)
    assert not has_it(w.pg1)
    went_on(w)


@pytest.mark.campaign
def test_with_the_old_host_out_of_reach_it_is_added_only_where_nobody_on_the_wire_answers(lab):
    """sshd of the old host is gone, its server stopped: it still answers to the address."""
    w = at_the_address(lab, limits={"redirect": "3s"})
    w.pg1.kill9_postmaster()
    w.wait(lambda: "confirmed: pg2 is the primary" in w.daemon.log_text, 20, "it is confirmed")
    lab.drop(lab.monitor, w.pg1, port=22)
    w.pg1.run_in_network(["ip", "addr", "replace", f"{ADDRESS}/24", "dev", "eth0"])
    w.pg2.run_in_network(["ip", "addr", "flush", "to", f"{ADDRESS}/32"])
    w.wait(
        lambda: "another host on this wire answers to 192.0.2.100" in w.daemon.log_text,
        60,
        "it is refused",
    )
    assert not has_it(w.pg2)
    lab.link_down(w.pg1)
    wait_until(lambda: has_it(w.pg2), 60, "nobody answers to it any more")
    wait_for_timeline(w.ledger, 2, w, 40)
    assert has_it(w.pg1)
    lab.heal()
    wait_until(lambda: not has_it(w.pg1), 15, "pg1 has lost it as soon as it was back")
    assert has_it(w.pg2)
    w.ledger.wait_for(300)
    assert w.ledger.check(w.pg2, enough=500).lost == ()


@pytest.mark.campaign
def test_an_address_that_somebody_took_away_is_put_back(lab):
    w = at_the_address(lab)
    w.pg1.run_in_network(["ip", "addr", "del", f"{ADDRESS}/24", "dev", "eth0"])
    w.wait(lambda: has_it(w.pg1), 45, "it is put back")
    assert "virtual_ip does not lead to pg1 any more: nobody has" in w.daemon.log_text
    w.wait(lambda: all_lead_to(lab, "pg1"), 15, "it leads to pg1")
    w.ledger.wait_for(100)
