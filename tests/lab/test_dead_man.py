"""The dead-man on a primary's host: what makes it fire, and what does not."""

from __future__ import annotations

import signal

import pytest

from tests.lab.dead_man import COMMITS, TTL_S, Application, DeadMan, is_fenced, is_up, uptime_s
from tests.lab.host import signal_all
from tests.lab.server import BIN_DIR, SOCKET_DIR
from tests.waiting import wait_until

pytestmark = pytest.mark.lab

RENEWED_IN_TIME_S = 6.0
"""A TTL within which it is renewed also on a machine that is busy."""
PROVED_AFTER_S = 3.0
"""After the TTL, or the freeze: from then on the daemon counts on it that nothing commits."""


@pytest.fixture
def pair(lab):
    return lab.pair(synchronous=False)


@pytest.fixture
def dead_man(lab, pair):
    return DeadMan(lab, pair[0])


@pytest.fixture
def application(lab, pair):
    host = pair[0]
    host.sql("create table commits (n bigint)")
    log = host.home / "commits.log"
    script = f'exec >"$HOME/{log.name}" 2>&1\n{COMMITS}'
    process = host.spawn(["sh", "-c", script, f"{BIN_DIR}/psql", SOCKET_DIR], user="postgres")
    running = Application(log)
    wait_until(lambda: log.exists() and len(running.answered_s) > 20, 30, "it commits")
    yield running
    process.kill()
    process.communicate()


def test_cut_off_from_everybody_it_fires_and_nothing_is_committed_after_it(
    lab, pair, dead_man, application
):
    host, _ = pair
    armed = dead_man.arm()
    assert armed.verdict == "armed"
    postmaster = host.postmaster
    assert armed.number("armed_postmaster_pid") == postmaster.pid
    assert armed.fields["armed_boot_id"] == dead_man.boot_id
    assert armed.number("watcher_pid") == dead_man.watcher().pid
    with dead_man.renewing():
        lab.link_down(host)
        dead_man.wait_until_past(dead_man.renewed_s + TTL_S)
    fired = dead_man.wait_until_fired()
    assert fired.fields["fired_guard"] == "laid"
    assert is_fenced(host)
    deadline_s = dead_man.renewed_s + TTL_S + PROVED_AFTER_S
    assert dead_man.renewed_s + TTL_S < fired.number("fired_at_uptime") < deadline_s
    assert fired.number("fired_all_gone_at_uptime") < deadline_s
    refused = application.refused
    wait_until(lambda: application.refused > refused + 20, 30, "it has tried again")
    assert dead_man.renewed_s + TTL_S < application.answered_s[-1] < deadline_s
    assert set(application.since_it_was_gone) == {"gone"}
    seen = dead_man.call("status")
    assert seen.fields["dead_man"] == "fired"
    assert seen.fields["fired_at_uptime"] == fired.fields["fired_at_uptime"]
    assert (dead_man.renew().verdict, dead_man.disarm().verdict) == ("fired", "fired")
    dead_man.wait_until_over()


def test_whoever_starts_it_after_that_gets_a_standby(lab, pair, dead_man):
    host, _ = pair
    dead_man.arm()
    lab.link_down(host)
    dead_man.wait_until_fired()
    dead_man.wait_until_over()
    host.start()
    assert host.in_recovery
    assert dead_man.arm().exit_status == 11


def test_while_a_standby_answers_it_does_not_fire_and_disarms_itself(pair, dead_man):
    host, _ = pair
    dead_man.arm(ttl_s=1, hold_s=3)
    dead_man.wait_until_over()
    assert dead_man.status().verdict == "disarmed"
    assert uptime_s() > dead_man.renewed_s + 3
    assert dead_man.asked() > 5
    assert is_up(host)
    assert not (host.data / "standby.signal").exists()
    assert dead_man.renew().verdict == "disarmed"


def test_as_long_as_it_is_renewed_it_asks_nobody(lab, pair, dead_man):
    host, standby = pair
    dead_man.arm(ttl_s=RENEWED_IN_TIME_S)
    lab.part(host, standby)
    with dead_man.renewing() as answers:
        dead_man.wait_until_past(dead_man.renewed_s + 2 * RENEWED_IN_TIME_S)
        dead_man.wait_until_past(dead_man.renewed_s)
    assert {answer.verdict for answer in answers} == {"renewed"}
    assert answers[-1].fields["session"] == "yes"
    assert dead_man.asked() == 0
    dead_man.wait_until_fired()


def test_a_standby_that_is_frozen_keeps_it_from_firing_no_longer_than_the_proof_allows(
    pair, dead_man
):
    host, standby = pair
    dead_man.arm(ttl_s=1)
    wait_until(lambda: dead_man.asked() > 5, 30, "it asks, and is answered")
    standby.sql("alter system set primary_conninfo = ''")
    standby.sql("select pg_reload_conf()")
    standby.wait_for_sql("select count(*) from pg_stat_wal_receiver", "0")
    frozen_s = uptime_s()
    fired = dead_man.wait_until_fired()
    assert fired.number("fired_all_gone_at_uptime") < frozen_s + PROVED_AFTER_S
    assert is_fenced(host)


def test_disarmed_it_never_fires(lab, pair, dead_man):
    host, _ = pair
    dead_man.arm(ttl_s=30)
    lab.link_down(host)
    assert dead_man.disarm().verdict == "disarmed"
    dead_man.wait_until_over()
    assert uptime_s() < dead_man.renewed_s + 30
    assert dead_man.disarm().verdict == "disarmed"
    assert dead_man.call("dead_man_disarm").exit_status == 0
    assert is_up(host)


def test_disarmed_while_it_is_stopped_it_does_not_fire_when_it_goes_on(lab, pair, dead_man):
    host, _ = pair
    dead_man.arm(ttl_s=1)
    lab.link_down(host)
    dead_man.wait_until_past(dead_man.renewed_s + 1.3)
    dead_man.stop_while_it_asks()
    assert dead_man.disarm().verdict == "disarmed"
    dead_man.signal(signal.SIGCONT)
    dead_man.wait_until_over()
    assert is_up(host)


def test_a_disarming_at_the_very_moment_is_answered_as_it_came_out(lab, pair, dead_man):
    host, _ = pair
    lab.link_down(host)
    for lateness_s in (0.8, 0.95, 1.05, 1.1, 1.15, 1.2, 1.3):
        assert dead_man.arm(ttl_s=1).verdict == "armed"
        dead_man.wait_until_past(dead_man.renewed_s + 1 + lateness_s)
        if dead_man.disarm().verdict == "fired":
            dead_man.wait_until_fired()
            assert is_fenced(host)
            return
        dead_man.wait_until_over()
        assert is_up(host)
    assert dead_man.arm(ttl_s=1).verdict == "armed"
    dead_man.wait_until_fired()


def test_it_outlives_its_session_and_sshd_and_is_renewed_through_a_new_one(lab, pair):
    host, standby = pair
    over_ssh = DeadMan(lab, host, ssh=True)
    assert over_ssh.arm(ttl_s=RENEWED_IN_TIME_S).verdict == "armed"
    first = over_ssh.watcher()
    lab.part(host, standby)
    with over_ssh.renewing() as answers:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            over_ssh.signal(number)
        over_ssh.wait_until_past(over_ssh.renewed_s + RENEWED_IN_TIME_S + 1.5)
    assert {answer.verdict for answer in answers} == {"renewed"}
    signal_all(host, "sshd", signal.SIGKILL)
    wait_until(lambda: not host.processes("sshd"), 20, "no sshd is left")
    assert over_ssh.watcher() == first
    DeadMan(lab, host).wait_until_fired()
    assert is_fenced(host)


def test_stopped_for_longer_than_the_ttl_it_asks_before_it_fires(pair, dead_man):
    host, _ = pair
    dead_man.arm(ttl_s=1, hold_s=6)
    dead_man.signal(signal.SIGSTOP)
    dead_man.wait_until_past(dead_man.renewed_s + 3)
    assert dead_man.renew().verdict == "not_watching"
    dead_man.wait_until_past(uptime_s() + 2.5)
    assert dead_man.asked() == 0
    dead_man.signal(signal.SIGCONT)
    wait_until(lambda: dead_man.asked() > 5, 20, "it asks")
    dead_man.wait_until_over()
    assert dead_man.status().verdict == "disarmed"
    assert is_up(host)


@pytest.mark.parametrize("hold_s", [60, 2])
def test_stopped_and_cut_off_it_fires_when_it_goes_on_however_late(lab, pair, dead_man, hold_s):
    host, _ = pair
    dead_man.arm(ttl_s=1, hold_s=hold_s)
    lab.link_down(host)
    dead_man.signal(signal.SIGSTOP)
    dead_man.wait_until_past(dead_man.renewed_s + 4)
    woken_s = uptime_s()
    dead_man.signal(signal.SIGCONT)
    fired = dead_man.wait_until_fired()
    assert woken_s + 1 <= fired.number("fired_at_uptime") < woken_s + PROVED_AFTER_S
    assert is_fenced(host)


def test_stopped_in_the_middle_of_asking_what_it_asked_before_does_not_count(lab, pair, dead_man):
    host, standby = pair
    dead_man.arm(ttl_s=1, hold_s=8)
    lab.part(host, standby)
    dead_man.wait_until_past(dead_man.renewed_s + 1.3)
    dead_man.stop_while_it_asks()
    lab.heal()
    dead_man.wait_until_past(dead_man.renewed_s + 4)
    dead_man.signal(signal.SIGCONT)
    dead_man.wait_until_over()
    assert dead_man.status().verdict == "disarmed"
    assert is_up(host)


def test_renewals_that_were_held_up_on_their_way_keep_nothing_alive(lab, pair, dead_man):
    host, _ = pair
    dead_man.arm()
    lab.link_down(host)
    sent_s = dead_man.renewed_s
    while (answer := dead_man.renew(age_s=uptime_s() - sent_s)).verdict == "renewed":
        pass
    assert answer.verdict == "fired"
    fired = dead_man.wait_until_fired()
    assert fired.number("fired_all_gone_at_uptime") < sent_s + TTL_S + PROVED_AFTER_S
    assert dead_man.renew(expires="1").verdict == "expired"
    elsewhere = dead_man.renew(boot_id="00000000-0000-0000-0000-000000000000")
    assert elsewhere.verdict == "expired"


def test_after_a_restart_it_is_armed_anew_and_the_older_arming_is_over(pair, dead_man):
    host, _ = pair
    first = dead_man.arm(ttl_s=30)
    host.pg_ctl("restart", "-w", "-s")
    renewed = dead_man.renew()
    assert renewed.number("armed_postmaster_pid") != host.postmaster.pid
    second = dead_man.arm(ttl_s=30)
    assert second.number("armed_postmaster_pid") == host.postmaster.pid
    assert second.fields["watcher_pid"] != first.fields["watcher_pid"]
    pid = second.number("watcher_pid")
    wait_until(lambda: dead_man.watcher().pid == pid, 20, "one watcher is left")
    assert dead_man.renew(arming=first.fields["arming"]).verdict == "not_armed"
    assert dead_man.renew().verdict == "renewed"
    assert dead_man.call("dead_man_disarm", arming=first.fields["arming"]).exit_status == 11
    assert dead_man.disarm().verdict == "disarmed"


def test_an_older_epoch_neither_takes_over_nor_renews_nor_disarms(pair, dead_man):
    dead_man.arm(ttl_s=30, epoch="8")
    for answer in (dead_man.arm(epoch="7"), dead_man.renew(), dead_man.disarm()):
        assert (answer.exit_status, answer.verdict) == (14, "stale_epoch")
    assert dead_man.renew(epoch="8").verdict == "renewed"
    before = dead_man.watcher()
    assert dead_man.arm(ttl_s=30, epoch="9").verdict == "armed"
    wait_until(lambda: dead_man.watcher() != before, 20, "the newer one has taken over")
    assert dead_man.renew(epoch="8").verdict == "stale_epoch"


def test_its_session_is_opened_again(pair, dead_man):
    host, _ = pair
    dead_man.arm(hold_s=5)
    find = "from pg_stat_activity where application_name = 'failoverd_dead_man'"
    with dead_man.renewing():
        first = host.sql(f"select pid {find}")
        host.sql(f"select pg_terminate_backend({first})")
        host.wait_for_sql(f"select count(*) {find} and pid <> {first}", "1")
    host.sql(f"select pg_terminate_backend(pid) {find}")
    dead_man.wait_until_over()
    assert dead_man.status().verdict == "disarmed"
    assert is_up(host)


def test_a_server_that_does_not_answer_it_is_killed(pair, dead_man):
    host, _ = pair
    dead_man.arm()
    host.sigstop_all()
    dead_man.wait_until_fired()
    assert is_fenced(host)


def test_where_the_guard_cannot_be_laid_it_kills_nevertheless_and_again(lab, pair, dead_man):
    host, _ = pair
    dead_man.arm(hold_s=12)
    lab.link_down(host)
    host.data.chmod(0o500)
    fired = dead_man.wait_until_fired()
    assert fired.fields["fired_guard"] == "not_laid"
    assert not (host.data / "standby.signal").exists()
    host.data.chmod(0o700)
    wait_until((host.data / "standby.signal").exists, 20, "it is laid when it can be")
    dead_man.wait_until_over()
    host.start()
    assert host.in_recovery


def test_a_standby_is_never_armed(lab, pair):
    _, standby = pair
    answer = DeadMan(lab, standby).arm()
    assert (answer.exit_status, answer.verdict) == (11, "not_armed")
    assert DeadMan(lab, standby).status().verdict == "not_armed"


def test_a_watcher_that_was_killed_is_no_arming(lab, pair, dead_man):
    host, _ = pair
    dead_man.arm()
    dead_man.signal(signal.SIGKILL)
    dead_man.wait_until_over()
    assert dead_man.renew().verdict == "not_watching"
    idle = "select count(*) from pg_stat_activity where application_name = 'failoverd_dead_man'"
    host.wait_for_sql(idle, "0")
    assert dead_man.arm().verdict == "armed"
    assert dead_man.renew().verdict == "renewed"


@pytest.mark.parametrize("answered", [True, False])
def test_a_folder_that_vanishes_disarms_nothing(lab, pair, dead_man, answered):
    host, standby = pair
    dead_man.arm(ttl_s=1, hold_s=4)
    if not answered:
        lab.part(host, standby)
    host.run(["sh", "-c", "rm -r /dev/shm/failoverd-dead-man.*"])
    assert dead_man.renew().verdict == "not_armed"
    dead_man.wait_until_over()
    assert dead_man.asked() > 2 if answered else is_fenced(host)
    assert is_up(host) is answered
