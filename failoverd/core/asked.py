"""What is asked of the world, state by state: a function of the machine, never of the edge.

Resuming after a crash is asking again.
"""

from __future__ import annotations

from failoverd.core import salvage
from failoverd.core.arming import arming, counted_on, disarming
from failoverd.core.effects import (
    Confirm,
    Effect,
    Fence,
    Freeze,
    KeepDown,
    Promote,
    ReadSettings,
    Redirect,
    Retire,
    StopMode,
    Thaw,
    Unfence,
    Unguard,
    node_of,
)
from failoverd.core.model import NodeName
from failoverd.core.operator import in_procedure, mode_of
from failoverd.core.policy import Mode, Policy
from failoverd.core.proof import speaks
from failoverd.core.redirection import closings, redirections, reopened
from failoverd.core.rejoin import rejoins
from failoverd.core.situation import Machine, frozen_by_others
from failoverd.core.split_brain import measures
from failoverd.core.states import (
    Blocked,
    Confirming,
    Electing,
    Fencing,
    Paused,
    Preparation,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Starting,
    Suspect,
    Watching,
)
from failoverd.core.switchover import preparations
from failoverd.core.upkeep import owed_thaws, upkeep
from failoverd.core.writers import others_write


def asks(m: Machine, p: Policy) -> tuple[Effect, ...]:
    """The effects of now, on nodes that are configured; observing, what is armed is let go."""
    observing = mode_of(m, p) is Mode.OBSERVE and not in_procedure(m)
    wanted = (*(disarming(m) if observing else effects(m)), *measures(m))
    return tuple(effect for effect in wanted if may_be_asked(effect, p))


def may_be_asked(effect: Effect, p: Policy) -> bool:
    node = p.nodes.get(node_of(effect))
    return node is not None and (node.has_service or not isinstance(effect, KeepDown))


def effects(m: Machine) -> tuple[Effect, ...]:
    """What a machine asks the world for. Resuming after a crash is asking again."""
    match m.state:
        case Fencing() as s:
            return asked_by_fencing(s, m)
        case Electing() as s:
            waiting = [n for n in s.standbys if n not in m.frozen and n not in s.failed]
            return tuple(
                Freeze(n, m.epoch, m.saved[n]) if n in m.saved else ReadSettings(n, m.epoch)
                for n in waiting
            )
        case Salvaging() as s:
            return (salvage.asked(s, m),)
        case Promoting(proof=proof, candidate=candidate, position=position):
            # The names that it inherits are the dead one's standbys; upkeep names its own.
            names = "" if m.managed else None
            return (Promote(candidate, proof, position, m.epoch, names),)
        case Confirming(candidate=candidate):
            return (Confirm(candidate, m.memory.timeline),)
        case Settling(primary=primary):
            return redirections(m) if m.targets else (Redirect(primary),)
        case Reverting() as s if s.retry_at is None:
            return taking_back(s, m)
        case Watching():
            return (*upkeep(m), *rejoins(m), *redirections(m), *arming(m))
        case Suspect() | Blocked(returns_to=None):
            return (*upkeep(m), *rejoins(m), *disarming(m))
        case Blocked(returns_to=Fencing() as again) if given_back(again, m):
            # Its synchronous standby may be the very one that we have frozen, or another daemon
            # needs those that we hold.
            owing = sorted(owed_thaws(m).items())
            thaws = (Thaw(n, m.epoch, saved, 0) for n, saved in owing)
            return (*thaws, *redirections(m), *disarming(m))
        case Blocked(returns_to=Fencing()) if not m.asked:
            # Nobody knows that it is dead: what reaches it may go on doing so.
            return (*redirections(m), *disarming(m))
        case Starting() | Paused() | Blocked() | Reverting():
            return disarming(m)


def taking_back(s: Reverting, m: Machine) -> tuple[Effect, ...]:
    """The standbys first, and nothing that could run again while a dead-man would end it."""
    owing = sorted(owed_thaws(m).items())
    first: tuple[Effect, ...] = (
        *(Thaw(n, m.epoch, saved, s.attempt) for n, saved in owing),
        *reopened(s, m),
    )
    if disarming(m):
        return (*first, *disarming(m))
    if not s.guard_owed or others_write(m.view, m.memory) or frozen_by_others(m):
        return first
    back = Unfence if s.restart else Unguard
    return (*first, back(s.primary, m.epoch))


def given_back(again: Fencing, m: Machine) -> bool:
    """Whoever may live has its standbys back while nothing goes forward."""
    frozen_as_a_fence = m.dead_man is not None and again.mode is StopMode.IMMEDIATE
    return not m.asked and (speaks(m) or again.elsewhere or frozen_as_a_fence)


def asked_by_fencing(s: Fencing, m: Machine) -> tuple[Effect, ...]:
    if s.preparation is not Preparation.DONE:
        return preparations(s, m)
    if s.mode is StopMode.FAST and disarming(m):
        # An orderly stop must not be taken for isolation.
        return disarming(m)
    if s.gives_up is not None:
        return (Retire(s.gives_up, m.epoch, m.memory.timeline, s.attempt),)
    fence = Fence(s.primary, s.mode, m.epoch, 0, s.wal_from)
    return (fence, *beside_the_fence(s, m), *closings(s, m))


def beside_the_fence(s: Fencing, m: Machine) -> tuple[Effect, ...]:
    """What takes time and can do no harm meanwhile: it is thawed if the primary turns out alive.

    A primary that may be alive is not robbed of its standbys before it is proved fenced, but
    where that is how it is fenced: no standby may answer its dead-man any more.
    """
    if m.asked:
        return tuple(Freeze(n, m.epoch, m.saved[n]) for n in sorted(m.asked) if owes_freeze(n, m))
    unread = tuple(ReadSettings(n, m.epoch) for n in s.standbys if n not in m.saved)
    if s.elsewhere:
        return unread
    part_of_it = s.standbys if s.mode is StopMode.DEAD_ONLY else counted_on(s, m)
    known = [n for n in s.standbys if n in part_of_it and n in m.saved and n not in m.frozen]
    return (*unread, *(Freeze(n, m.epoch, m.saved[n]) for n in known))


def owes_freeze(node: NodeName, m: Machine) -> bool:
    """It was asked to promote, is in recovery still, and its own guard wants it frozen."""
    server = m.view.report(node).server
    recovering = server is not None and server.in_recovery
    return recovering and node in m.saved and node not in m.frozen
