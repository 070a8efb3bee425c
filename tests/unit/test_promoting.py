"""What a server may say to a promotion that it has just carried out."""

from __future__ import annotations

from failoverd.core.effects import Promote
from failoverd.core.events import EffectFailed, Promoted, StillAlive
from failoverd.core.memory import Memory
from failoverd.core.model import (
    ClusterView,
    CommandRun,
    Epoch,
    Instant,
    Look,
    Lsn,
    Outcome,
)
from failoverd.core.policy import StepLimits
from failoverd.effect import promote
from failoverd.effect.world import Node, Runs, World
from failoverd.transport.host import HostAnswer
from failoverd.transport.postgres import SqlAddress, SqlAnswer
from tests.unit.vocabulary import PG1, PG2, proof

OVER = "ObjectNotInPrerequisiteStateError: recovery is not in progress (55000)"


class Session:
    """A server that recovers when it is asked, and whose recovery ends in the same moment."""

    def __init__(self, says, role):
        self.says, self.role, self.at = says, role, 100.0

    def monotonic(self):
        self.at += 0.01
        return Instant(self.at)

    async def row(self, statement, *_, timeout_s):
        assert timeout_s
        if statement == promote.GUARDED:
            return SqlAnswer(Look(Outcome.MISCONFIGURED, self.monotonic(), self.at, self.says))
        known = {"in_recovery": self.role == "standby", "left": 0, "at": "0/1"}
        return SqlAnswer(Look(Outcome.OK, self.monotonic(), self.at), known)


async def asked(session, on_host=None, beside=()):
    address = SqlAddress("127.0.0.1", 1, "failoverd", "postgres", lambda: None)
    node = Node(PG2, on_host, address, {})
    others = {name: Node(name, None, address, {}) for name in beside}
    world = World(
        {PG2: node, **others}, Memory(), ClusterView({}), StepLimits(promote_s=0.5),
        session.monotonic, session.monotonic, 1.0,
    )  # fmt: skip
    effect = Promote(PG2, proof(100.0), Lsn(0), Epoch(1))
    return await promote._ask_until_promoted(effect, world, node, session, Runs())


async def test_recovery_that_ends_between_the_guard_and_the_request_is_a_promotion():
    assert isinstance(await asked(Session(OVER, "primary")), Promoted)


async def test_a_server_that_says_so_and_is_in_recovery_all_the_same_was_not_promoted():
    assert isinstance(await asked(Session(OVER, "standby")), EffectFailed)


async def test_any_other_error_leaves_unknown_what_became_of_the_request():
    done = await asked(Session("InternalServerError: out of memory (53200)", "primary"))
    assert isinstance(done, EffectFailed)
    assert done.reason == "no_answer"


MAY_NOT = "InsufficientPrivilegeError: permission denied for function pg_promote (42501)"


class OnItsHost:
    """A host that can be looked at; what becomes of `pg_ctl promote` there is told in order."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.acts = []

    async def call(self, verb, arguments, *, timeout_s):
        assert timeout_s
        if verb == "status":
            return said(node_facts())
        self.acts.append(verb)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def said(fields, outcome=Outcome.OK, exit_status=0):
    told = {name: (value,) for name, value in fields.items()}
    return HostAnswer(outcome, exit_status, told, CommandRun(PG2, "", "", 0.1, exit_status))


def node_facts():
    return {
        "boot_id": "b", "uptime": "12.50", "user": "postgres", "directory_identity": "8:1",
        "system_identifier": "7", "control_state": "in archive recovery", "control_timeline": "1",
        "checkpoint_lsn": "0/1", "postmaster_pid": "10", "postmaster_started": "1",
        "listener": "yes", "guard": "none", "guard_epoch": "", "epoch": "0",
    }  # fmt: skip


ASKED = said({"verdict": "asked"})
REFUSED = said({"verdict": "not_promoted", "reason": "it is not frozen"}, exit_status=11)
PG_CTL_FAILED = said({"verdict": "maybe_asked", "reason": "pg_ctl: no end"}, exit_status=11)
LOST = said({}, Outcome.LOST, None)


async def test_a_request_by_the_host_whose_answer_is_lost_may_have_been_made():
    for answer in (LOST, PG_CTL_FAILED):
        done = await asked(Session(MAY_NOT, "standby"), OnItsHost(answer))
        assert isinstance(done, EffectFailed)
        assert done.reason == "no_answer"


async def test_a_host_that_refuses_once_it_has_been_asked_does_not_take_that_back():
    done = await asked(Session(MAY_NOT, "standby"), OnItsHost(ASKED, REFUSED))
    assert isinstance(done, EffectFailed)
    assert done.reason == "pending"


async def test_what_a_host_refuses_at_first_was_not_asked():
    done = await asked(Session(MAY_NOT, "standby"), OnItsHost(REFUSED))
    assert isinstance(done, EffectFailed)
    assert done.reason == "refused"


class HeldUp(Session):
    """What it is asked first arrives when that has expired; after that it does as it is asked."""

    def __init__(self):
        super().__init__("", "standby")
        self.order = []
        self.asked = 0

    async def row(self, statement, *arguments, timeout_s):
        if statement == promote.EXPIRES:
            self.order.append("clock")
            return SqlAnswer(Look(Outcome.OK, self.monotonic(), self.at), {"at": self.at + 2})
        if statement == promote.GUARDED:
            self.order.append("ask")
            self.asked += 1
            late = self.asked == 1
            answer = {"in_recovery": True, "asked": None if late else "", "late": late}
            return SqlAnswer(Look(Outcome.OK, self.monotonic(), self.at), answer)
        return await super().row(statement, *arguments, timeout_s=timeout_s)


async def test_what_was_held_up_is_asked_again_only_once_everybody_was_looked_at_again(monkeypatch):
    """This daemon may have stood still in between, and somebody has started the old primary."""
    session = HeldUp()

    async def serves(world, node, runs):
        assert node.name == PG1
        session.order.append("look")
        return session.order.count("look") > 1

    monkeypatch.setattr(promote, "serves", serves)
    done = await asked(session, beside=(PG1,))
    assert isinstance(done, StillAlive)
    assert "pg1 takes writes" in done.evidence.sentence
    # By its own clock what is asked counts from before the looks, and not from after them.
    assert session.order == ["clock", "look", "ask", "clock", "look"]


async def test_before_it_is_asked_by_its_host_everybody_is_looked_at_again(monkeypatch):
    looks = []

    async def serves(world, node, runs):
        looks.append(node.name)
        return len(looks) > 1

    monkeypatch.setattr(promote, "serves", serves)
    host = OnItsHost(ASKED)
    done = await asked(Session(MAY_NOT, "standby"), host, beside=(PG1,))
    assert isinstance(done, StillAlive)
    assert host.acts == []
