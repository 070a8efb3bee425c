"""What a machine may ask for, by itself alone: whatever world it is asked in (also tests/sim)."""

from __future__ import annotations

from failoverd.core.effects import CloseTarget, Effect, Promote, Redirect, Unfence
from failoverd.core.model import PROOF_LIFETIME_S
from failoverd.core.situation import Machine
from failoverd.core.states import Confirming, Electing, Fencing, Promoting, Salvaging


def wrongly_asked(m: Machine, effect: Effect, now: float) -> str | None:
    """What speaks against asking for that now; None: nothing."""
    match effect:
        case Promote(proof=proof, candidate=name):
            if proof.epoch != m.epoch:
                return f"{name} is asked to promote by a proof of epoch {proof.epoch}"
            if now - proof.proved_at > PROOF_LIFETIME_S + 0.1:
                return f"{name} is asked to promote by a proof that is too old"
        case Redirect(primary=name, target=target) if target:
            return _wrongly_led(m, name)
        case CloseTarget(target=target) if not isinstance(m.state, Fencing):
            return f"{target} is closed outside of a fence"
        case Unfence(node=name):
            others = [r.name for r in m.view.others(name) if r.writable]
            if m.asked:
                return f"{name} is unfenced although {sorted(m.asked)} was asked to promote"
            if others:
                return f"{name} is unfenced beside {others}"
        case _:
            pass
    return None


def _wrongly_led(m: Machine, name: str) -> str | None:
    if name != m.memory.primary:
        return f"applications are sent to {name}, and {m.memory.primary} is the primary"
    if isinstance(m.state, Electing | Salvaging | Promoting | Confirming):
        return f"applications are sent to {name} in the middle of a failover"
    if m.asked and m.asked != {name}:
        return f"applications are sent back to {name} although {sorted(m.asked)} was asked"
    return None
