"""Applications follow the primary: what is asked of each way, when, and when it is over."""

from __future__ import annotations

from dataclasses import replace

from failoverd.cli.screen import status_screen
from failoverd.core.effects import (
    CloseTarget,
    Confirm,
    Fence,
    Freeze,
    Promote,
    ReadSettings,
    Redirect,
    Salvage,
    StopMode,
    Thaw,
    Unfence,
)
from failoverd.core.events import (
    EffectFailed,
    Observed,
    Promoted,
    Redirected,
    Replied,
    SettingsRead,
    TargetClosed,
    Unfenced,
)
from failoverd.core.incident import EntryKind, describe
from failoverd.core.model import Evidence, Instant, Look, NodeName, Outcome
from failoverd.core.policy import TargetName, TargetPolicy
from failoverd.core.redirection import agent_word, pauses
from failoverd.core.states import Fencing, Reverting, Settling, Watching
from failoverd.core.target import TargetReport, closed, owed
from failoverd.observability.metrics import Metrics
from failoverd.observability.report import procedure
from failoverd.observability.status import status_document
from tests.unit.scenes import CONFIRMED, NEW_PRIMARY, QUIET
from tests.unit.vocabulary import (
    ALIVE,
    FAILED,
    HERE,
    OWN,
    PAIR,
    PG1,
    PG2,
    WORDS,
    Daemon,
    crashed,
    healthy,
    hung,
    streaming,
    view,
    watching,
)

PROXY, POOLER = TargetName("haproxy"), TargetName("pgbouncer")
WAYS = replace(PAIR, targets={PROXY: TargetPolicy(closes=True), POOLER: TargetPolicy(pauses=True)})
LED = Redirected(Evidence("it leads there"))
NOT_LED = EffectFailed("not_led", Evidence("it cannot be reached"))


def asked(daemon: Daemon, kind: type = Redirect) -> list[TargetName]:
    return [effect.target for effect in daemon.asked(kind)]


def answer(daemon: Daemon, target: TargetName, result: object, visit: int | None = None) -> Daemon:
    effect = next(e for e in daemon.asked(Redirect) if e.target == target)
    visit = daemon.machine.visit if visit is None else visit
    return daemon.happens(Replied(visit, effect, result))


def well() -> Daemon:
    """Watching, and both ways were seen to lead to the primary."""
    return answer(answer(watching(WAYS), PROXY, LED), POOLER, LED)


def settling() -> Daemon:
    daemon = crashed(WAYS).fenced().froze({PG2: HERE}).answered(Salvage, FAILED)
    return daemon.answered(Promote, Promoted(WORDS)).answered(Confirm, CONFIRMED)


def sees(daemon: Daemon, *reports: TargetReport) -> Daemon:
    daemon.at += 1.0
    seen = {report.name: report for report in reports}
    return daemon.happens(Observed(view(healthy(), streaming(), None, daemon.at), seen))


def report(daemon: Daemon, target: TargetName, *nodes: NodeName, after: float = 0.5):
    at = Instant(daemon.at + after)
    return TargetReport(target, Look(Outcome.OK, at, at), frozenset(nodes), "it was looked at")


def test_at_the_first_sight_of_a_primary_every_way_is_led_there_once():
    daemon = watching(WAYS)
    assert asked(daemon) == [PROXY, POOLER]
    assert asked(well()) == []


def test_after_a_confirmation_each_way_is_led_to_the_new_primary_and_then_it_is_over():
    daemon = settling()
    assert asked(daemon) == [PROXY, POOLER]
    assert {e.primary for e in daemon.asked(Redirect)} == {PG2}
    answer(daemon, POOLER, LED)
    assert isinstance(daemon.state, Settling)
    assert daemon.state.done == {POOLER}
    assert asked(daemon) == [PROXY]
    assert isinstance(answer(daemon, PROXY, LED).state, Watching)


def test_before_the_confirmation_nothing_is_led_anywhere():
    daemon = crashed(WAYS)
    while not isinstance(daemon.state, Settling):
        assert asked(daemon) == []
        daemon = settling()


def test_a_way_that_fails_is_tried_again_with_back_off_within_the_budget():
    daemon = answer(answer(settling(), POOLER, LED), PROXY, NOT_LED)
    assert isinstance(daemon.state, Settling)
    assert asked(daemon) == []
    assert daemon.last.wake_at == daemon.at + 1.0
    assert asked(daemon.wakes(1.0)) == [PROXY]
    answer(daemon, PROXY, NOT_LED)
    assert daemon.last.wake_at == daemon.at + 2.0


def test_when_the_budget_is_spent_the_watch_goes_on_and_the_way_is_tried_for_ever():
    daemon = answer(answer(settling(), POOLER, LED), PROXY, NOT_LED)
    before = daemon.machine
    daemon.wakes(10.1)
    assert isinstance(daemon.state, Watching)
    entry = describe(before, Observed(daemon.machine.view), daemon.machine, WAYS)
    assert entry is not None
    assert "haproxy does not lead there yet, which is tried again" in entry.sentence
    for _ in range(3):
        daemon.sees(QUIET, NEW_PRIMARY, None, 31.0)
        assert asked(daemon) == [PROXY]
        answer(daemon, PROXY, NOT_LED)
    daemon.sees(QUIET, NEW_PRIMARY, None, 31.0)
    assert owed(answer(daemon, PROXY, LED).machine.targets, PG2) == []


def test_a_restart_while_settling_goes_on_with_what_is_not_done():
    daemon = answer(settling(), POOLER, LED)
    daemon.restarted()
    daemon.sees(QUIET, NEW_PRIMARY)
    assert isinstance(daemon.state, Settling)
    assert asked(daemon) == [PROXY]
    assert daemon.state.until == daemon.at + 10.0


def test_beside_the_fence_of_a_dead_server_nothing_is_closed():
    daemon = crashed(WAYS)
    assert daemon.state.mode is StopMode.DEAD_ONLY
    assert asked(daemon, CloseTarget) == []


def suspected_hung() -> Daemon:
    daemon = well()
    for _ in range(6):
        daemon.sees(hung(), QUIET)
    return daemon


def test_beside_the_fence_of_one_that_may_answer_what_can_be_closed_is_closed():
    daemon = suspected_hung()
    assert isinstance(daemon.state, Fencing)
    assert asked(daemon, CloseTarget) == [PROXY]
    assert asked(daemon) == []


def test_when_it_turns_out_alive_it_is_opened_again_at_once():
    daemon = suspected_hung()
    daemon.answered(CloseTarget, TargetClosed(WORDS))
    daemon.answered(Fence, ALIVE)
    assert isinstance(daemon.state, Reverting)
    assert asked(daemon) == [PROXY]
    assert {e.primary for e in daemon.asked(Redirect)} == {PG1}


def test_one_that_runs_again_is_not_kept_closed_by_a_standby_that_is_still_to_be_thawed():
    daemon = suspected_hung()
    daemon.answered(CloseTarget, TargetClosed(WORDS))
    daemon.answered(ReadSettings, SettingsRead(OWN, WORDS))
    daemon.fenced().answered(Freeze, FAILED)
    assert isinstance(daemon.state, Reverting)
    assert asked(daemon) == []
    daemon.answered(Unfence, Unfenced(WORDS))
    assert [e.node for e in daemon.asked(Thaw)] == [PG2]
    assert asked(daemon) == [PROXY]
    assert {e.primary for e in daemon.asked(Redirect)} == {PG1}


def test_when_it_cannot_be_fenced_it_is_opened_again_and_not_closed_at_every_attempt():
    daemon = suspected_hung()
    daemon.answered(Fence, FAILED)
    assert asked(daemon) == [PROXY]
    answer(daemon, PROXY, LED)
    daemon.sees(hung(), QUIET, None, 5.0)
    assert isinstance(daemon.state, Fencing)
    assert daemon.state.attempt == 1
    assert asked(daemon, CloseTarget) == []


def test_an_answer_of_an_earlier_visit_is_not_believed():
    """It may be older than what was closed since."""
    daemon = watching(WAYS)
    answer(daemon, PROXY, LED, visit=daemon.machine.visit - 1)
    assert PROXY in asked(daemon)


def test_a_way_that_is_found_to_lead_elsewhere_is_put_right():
    daemon = well()
    daemon.at += 1.0
    before = daemon.machine
    sees(daemon, report(daemon, PROXY, after=0.9), report(daemon, POOLER, PG1, after=0.9))
    assert asked(daemon) == [PROXY]
    entry = describe(before, Observed(daemon.machine.view), daemon.machine, WAYS)
    assert entry is not None
    assert entry.kind is EntryKind.TARGET
    assert entry.sentence == "haproxy does not lead to pg1 any more: it was looked at"
    answer(daemon, PROXY, LED)
    assert asked(daemon) == []


def test_each_time_it_goes_astray_it_is_asked_anew_in_the_same_visit():
    daemon = well()
    asks = set()
    for _ in range(3):
        sees(daemon, report(daemon, PROXY, PG2, after=0.9))
        (ask,) = daemon.asked(Redirect)
        asks.add(ask)
        answer(daemon, PROXY, LED)
    assert len(asks) == 3


def test_a_look_that_began_before_it_was_led_there_says_nothing():
    daemon = well()
    assert asked(sees(daemon, report(daemon, PROXY, PG2, after=-1.5))) == []


def test_a_way_that_cannot_be_asked_is_not_taken_for_one_that_leads_elsewhere():
    daemon = well()
    look = Look(Outcome.UNKNOWN, Instant(daemon.at + 0.9), Instant(daemon.at + 0.9))
    assert asked(sees(daemon, TargetReport(PROXY, look))) == []


def test_while_the_primary_is_not_well_nothing_is_led_to_it():
    daemon = well()
    sees(daemon, report(daemon, PROXY, PG2, after=0.9))
    daemon.sees(hung(), streaming())
    assert asked(daemon) == []


def test_a_way_that_is_configured_later_is_led_there_and_one_that_is_gone_is_forgotten():
    daemon = well()
    daemon.policy = replace(WAYS, targets={TargetName("dns"): TargetPolicy()})
    daemon.sees(healthy(), streaming())
    assert asked(daemon) == ["dns"]
    assert set(daemon.machine.targets) == {"dns"}


def test_before_a_clean_stop_everything_that_can_make_applications_wait_is_asked_to():
    daemon = well()
    assert {effect.target for effect in pauses(daemon.machine)} == {PROXY, POOLER}
    after = closed(daemon.machine.targets, pausing=True)
    assert owed(after, PG1) == [PROXY, POOLER]


def test_an_agent_check_is_told_only_what_is_known():
    daemon = well()
    words = lambda: (agent_word(daemon.machine, PG1), agent_word(daemon.machine, PG2))  # noqa: E731
    assert words() == ("up", "down")
    daemon = suspected_hung()
    assert words() == ("", "")
    daemon = crashed(WAYS).fenced()
    assert words() == ("down", "")
    daemon = settling()
    assert words() == ("down", "up")
    daemon = Daemon(WAYS)
    assert words() == ("", "")


# What is shown of it.


def test_the_status_says_where_each_way_leads_and_what_is_tried_again():
    daemon = answer(answer(settling(), POOLER, LED), PROXY, NOT_LED)
    page = status_document("main", daemon.machine, daemon.now, WAYS)
    assert page["targets"][POOLER]["leads_to"] == [PG2]
    assert page["targets"][POOLER]["owed"] is False
    late = page["targets"][PROXY]
    assert (late["owed"], late["failures"], late["retry_in_s"]) == (True, 1, 1.0)
    screen = status_screen(page)
    assert "  pgbouncer leads to pg2" in screen
    assert "    tried 1 times, again in 1.0 s" in screen


def test_a_way_that_leads_elsewhere_or_cannot_be_asked_is_0_in_the_metrics():
    daemon, metrics = well(), Metrics()
    metrics.seed("main", WAYS, {})

    def value(target):
        before = daemon.machine
        metrics.stepped("main", before, Observed(before.view), before, daemon.now, WAYS)
        line = f'failoverd_redirect_leads_to_primary{{cluster="main",target="{target}"}} '
        found = [one for one in b"".join(metrics.exposition()).decode().splitlines() if line in one]
        return found[0].removeprefix(line)

    assert value(PROXY) == "1.0"
    look = Look(Outcome.UNKNOWN, Instant(daemon.at + 0.9), Instant(daemon.at + 0.9))
    sees(daemon, TargetReport(PROXY, look))
    assert (value(PROXY), value(POOLER)) == ("0.0", "1.0")
    sees(daemon, report(daemon, POOLER, PG2, after=0.9))
    assert value(POOLER) == "0.0"


def test_the_report_ticks_the_line_only_when_every_way_was_led():
    daemon, told = settling(), []
    for target, result in ((POOLER, LED), (PROXY, NOT_LED)):
        before = daemon.machine
        effect = next(e for e in daemon.asked(Redirect) if e.target == target)
        event = Replied(before.visit, effect, result)
        daemon.happens(event)
        told.append((daemon.now.wall, describe(before, event, daemon.machine, WAYS)))
    step = "Applications were sent over"
    (line,) = [line for line in procedure(told) if line[0] == step]
    assert line[1:] == (False, "NOT YET: it cannot be reached / it leads there")
    (line,) = [line for line in procedure(told[:1]) if line[0] == step]
    assert line[1:] == (True, "it leads there")
