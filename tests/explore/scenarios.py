"""The small worlds that are explored whole: what may go wrong in each, and what is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from failoverd.core.policy import DeadManPolicy, Mode, Policy
from tests.explore.node import Budget
from tests.explore.world import WAY, policy_of

ORDERS = frozenset


@dataclass(frozen=True, slots=True)
class Scenario:
    budget: Budget
    standbys: int = 1
    mode: Mode = Mode.AUTOMATIC
    cooldown_s: float = 5.0
    known: bool = True
    agent: bool = False
    """A fence agent turns off what nobody reaches."""
    service: bool = False
    """Something starts the servers, and is told to keep an old primary down."""
    way: bool = False
    """Applications come by a way that is closed beside a fence and led to the new primary."""
    dead_man: bool = False

    rejoin: bool = False
    """There are credentials for a way back, and it is taken by itself."""

    @property
    def policy(self) -> Policy:
        targets = WAY if self.way else {}
        on = DeadManPolicy(5.0) if self.dead_man else None
        policy = policy_of(self.standbys, mode=self.mode, cooldown_s=self.cooldown_s)
        policy = replace(policy, can_rejoin=self.rejoin, rejoin_delay_s=2.0)
        nodes = {n: replace(node, has_service=self.service) for n, node in policy.nodes.items()}
        return replace(policy, targets=targets, dead_man=on, nodes=nodes)


SCENARIOS = {
    "a crash, a standby lost, an act that fails": Scenario(
        Budget(crashes=1, standbys_lost=1, failures=1), 2
    ),
    "a crash, and a candidate that hands over to the next": Scenario(
        Budget(crashes=1, failures=2), 2
    ),
    "one crash after the other": Scenario(Budget(crashes=2, restarts=1), 2),
    "a crash, a restart, a lost answer, half a minute of silence": Scenario(
        Budget(crashes=1, restarts=2, lost_answers=1, pauses=1)
    ),
    "a crash, a restart, a failed act, the daemon killed": Scenario(
        Budget(crashes=1, restarts=1, failures=1, kills=1)
    ),
    "a crash and the daemon killed twice": Scenario(Budget(crashes=1, kills=2, lost_answers=1)),
    "a hang that ends, the daemon killed": Scenario(Budget(hangs=1, restarts=1, kills=1), 2),
    "a primary cut off, then crashed": Scenario(Budget(cuts=1, crashes=1, restarts=1)),
    "a host lost and turned off, back before or after the promotion": Scenario(
        Budget(losses=1, restarts=1, failures=1), agent=True
    ),
    "a host lost and turned off, the daemon killed": Scenario(
        Budget(losses=1, restarts=1, kills=1), agent=True
    ),
    "a host isolated with a dead-man, back before or after the promotion": Scenario(
        Budget(losses=1, restarts=1), dead_man=True
    ),
    "a host isolated with a dead-man, the daemon killed": Scenario(
        Budget(losses=1, kills=1), dead_man=True
    ),
    "a host isolated with a dead-man, a standby lost": Scenario(
        Budget(losses=1, standbys_lost=1), dead_man=True
    ),
    "a host isolated with a dead-man, a pause": Scenario(
        Budget(losses=1, orders=ORDERS({"pause", "resume"})), dead_man=True
    ),
    "a failover by order from a primary with a dead-man": Scenario(
        Budget(orders=ORDERS({"failover"}), failures=1), dead_man=True
    ),
    "a failover by order, an answer lost, the daemon killed": Scenario(
        Budget(orders=ORDERS({"failover"}), lost_answers=1, failures=1, kills=1)
    ),
    "orders while a primary crashes": Scenario(
        Budget(orders=ORDERS({"failover", "vouch"}), crashes=1, failures=1)
    ),
    "pauses of every kind": Scenario(
        Budget(orders=ORDERS({"pause", "resume", "pause for 3 s"}), crashes=1, kills=1)
    ),
    "somebody else's hand, a crash, the daemon killed": Scenario(
        Budget(hands=1, crashes=1, kills=1)
    ),
    "a crash, and somebody promotes another": Scenario(Budget(crashes=1, hands=1), 2),
    "somebody else's hands": Scenario(Budget(hands=2)),
    "somebody else's hand and orders": Scenario(Budget(hands=1, orders=ORDERS({"ack", "pause"}))),
    "somebody else's hand, and an operator who adopts and fences": Scenario(
        Budget(hands=1, orders=ORDERS({"adopt", "fence"}), failures=1)
    ),
    "a failover that an operator gives up": Scenario(
        Budget(crashes=1, failures=2, orders=ORDERS({"unfence"}), kills=1)
    ),
    "an operator decides": Scenario(
        Budget(orders=ORDERS({"failover"}), crashes=1, failures=1), mode=Mode.MANUAL
    ),
    "nothing is done in observe mode": Scenario(
        Budget(crashes=1, hangs=1, restarts=1, kills=1), mode=Mode.OBSERVE
    ),
    "somebody vouches for what was asked to promote beside": Scenario(
        Budget(crashes=1, failures=2, orders=ORDERS({"vouch"}))
    ),
    "the very beginning": Scenario(
        Budget(orders=ORDERS({"pause", "resume"}), kills=1), known=False
    ),
    "an old primary kept down, an act that fails, the daemon killed": Scenario(
        Budget(crashes=1, failures=1, kills=1), service=True
    ),
    "an old primary kept down, and started by somebody's hand": Scenario(
        Budget(crashes=1, hands=1), service=True
    ),
    "applications sent over: a crash, an act that fails, the daemon killed": Scenario(
        Budget(crashes=1, failures=1, kills=1), way=True
    ),
    "applications shut out of a hung primary that comes back": Scenario(
        Budget(hangs=1, restarts=1, failures=1), way=True
    ),
    "a crash, an old primary that comes back, the daemon killed": Scenario(
        Budget(crashes=1, restarts=1, kills=1), rejoin=True
    ),
    "a switchover, a crash, the daemon killed": Scenario(
        Budget(orders=ORDERS({"switchover"}), crashes=1, kills=1), rejoin=True
    ),
    "a switchover, an act that fails, a standby lost": Scenario(
        Budget(orders=ORDERS({"switchover"}), failures=1, standbys_lost=1), rejoin=True
    ),
    "a switchover by a way that is closed, an answer lost": Scenario(
        Budget(orders=ORDERS({"switchover"}), lost_answers=1), way=True, rejoin=True
    ),
    "a switchover, and somebody else's hand": Scenario(
        Budget(orders=ORDERS({"switchover"}), hands=1), rejoin=True
    ),
    "a switchover in a while, cancelled or not": Scenario(
        Budget(orders=ORDERS({"switchover in 3 s", "cancel"}), crashes=1), rejoin=True
    ),
    "a drill": Scenario(Budget(orders=ORDERS({"drill", "cancel"})), rejoin=True),
    "an operator brings it back": Scenario(
        Budget(crashes=1, failures=1, orders=ORDERS({"rejoin"})), rejoin=True
    ),
    "a crash within the cooldown": Scenario(
        Budget(crashes=2, restarts=1, orders=ORDERS({"ack"})), cooldown_s=40.0
    ),
}
