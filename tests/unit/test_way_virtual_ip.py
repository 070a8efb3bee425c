"""A virtual IP is on one host at the most, and on the new primary's in the end."""

from __future__ import annotations

from failoverd.core.events import EffectFailed, Redirected
from failoverd.effect.redirect.target import look_at
from failoverd.effect.way import VirtualIp
from tests.unit.vocabulary import PG1, PG2
from tests.unit.ways import HOSTS, WAY, FakeHost, led, world

VIP = VirtualIp("192.0.2.100/24", {PG1: "eth0", PG2: "eth0"}, "sudo -n", 1.0)


async def test_a_virtual_ip_is_taken_from_the_old_host_before_the_new_one_has_it():
    hosts = {PG1: FakeHost(PG1, has=True), PG2: FakeHost(PG2)}
    result = await led(VIP, hosts)
    assert isinstance(result, Redirected)
    assert result.evidence.sentence == "way: pg2 has 192.0.2.100/24"
    assert [mode for mode, _ in hosts[PG1].asked] == ["look", "look", "remove", "look"]


async def test_a_virtual_ip_that_the_old_host_keeps_is_not_added():
    hosts = {PG1: FakeHost(PG1, has=True, keeps=True), PG2: FakeHost(PG2)}
    result = await led(VIP, hosts)
    assert isinstance(result, EffectFailed)
    assert "pg1 still has it: it is still here" in result.evidence.sentence
    assert not hosts[PG2].has


async def test_with_the_old_host_silent_the_new_one_first_asks_the_wire():
    hosts = {PG1: FakeHost(PG1, has=True, answers=False), PG2: FakeHost(PG2)}
    await led(VIP, hosts)
    assert ("add", "yes") in hosts[PG2].asked
    hosts = {PG1: FakeHost(PG1), PG2: FakeHost(PG2)}
    await led(VIP, hosts)
    assert ("add", "no") in hosts[PG2].asked


async def test_a_virtual_ip_on_two_hosts_does_not_lead_to_the_primary():
    report = await look_at(WAY, world(VIP, {n: FakeHost(n, has=True) for n in HOSTS}))
    assert report is not None
    assert not report.leads_to(PG2)
