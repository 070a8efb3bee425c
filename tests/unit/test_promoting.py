"""What a server may say to a promotion that it has just carried out."""

from __future__ import annotations

from failoverd.core.effects import Promote
from failoverd.core.events import EffectFailed, Promoted
from failoverd.core.memory import Memory
from failoverd.core.model import ClusterView, Epoch, Instant, Look, Lsn, NodeName, Outcome
from failoverd.core.policy import StepLimits
from failoverd.effect import promote
from failoverd.effect.world import Node, Runs, World
from failoverd.transport.postgres import SqlAddress, SqlAnswer
from tests.unit.vocabulary import PG2, proof

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


async def asked(session):
    address = SqlAddress("127.0.0.1", 1, "failoverd", "postgres", lambda: None)
    node = Node(PG2, None, address, {})
    world = World(
        {NodeName("pg2"): node}, Memory(), ClusterView({}), StepLimits(promote_s=0.5),
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
