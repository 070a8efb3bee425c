"""What a promotion lost, by the disks of this world, against what is said and was promised."""

from __future__ import annotations

from collections.abc import Callable

from failoverd.core.incident import loss_of
from failoverd.core.model import NodeName, ProofKind
from failoverd.core.situation import Machine
from failoverd.core.states import Confirming
from tests.sim.daemon import Daemon
from tests.sim.postgres import RECORD_BYTES, Server
from tests.sim.world import World

SIDE_BY_SIDE = 2
"""Applications that know every address; each way has one more."""
NO_COMMITS = 2
"""Records of WAL that a loss counts and that are no commits: a timeline's first, a checkpoint."""
WELL = ("healthy", "read_only", "sync_blocked")


class Losses:
    def __init__(self, world: World, fail: Callable[[str], None]) -> None:
        self.world = world
        self.fail = fail
        self.whole: dict[NodeName, bool] = {}
        """By candidate: whether it held all that was on the old primary's disk."""
        self.lost: dict[NodeName, tuple[int, list[int]]] = {}
        """By candidate: bytes and acknowledged commits that its promotion lost."""

    def promoted(self, left: Server, server: Server) -> None:
        self.lost[server.name] = self._lost(left, server)
        self.whole[server.name] = left.wal == server.wal[: len(left.wal)]

    def _lost(self, old: Server, new: Server) -> tuple[int, list[int]]:
        same = 0
        for a, b in zip(old.wal, new.wal, strict=False):
            if a != b:
                break
            same += 1
        lost = {one for one in old.wal[same:] if one > 0}
        told = [a.number for a in self.world.acknowledged if a.number in lost]
        return len(lost) * RECORD_BYTES, told

    def said(self, d: Daemon, before: Machine, after: Machine) -> None:
        """What is said to be lost, against what is."""
        assert isinstance(before.state, Confirming)
        candidate, incident = before.state.candidate, before.incident
        loss = loss_of(before, after)
        if loss is None or candidate not in self.lost:
            return
        lost, told = self.lost[candidate]
        sentence = loss.sentence
        if sentence.startswith(("unknown", "no commit that")):
            return
        if loss.nothing and not self.whole[candidate]:
            self.fail(f"{candidate}: nothing is said to be missing, and the last record is")
        if loss.nothing and lost:
            self.fail(f"{candidate}: nothing is said to be lost, and {lost} bytes are")
        if loss.proven and loss.lost_bytes > lost + NO_COMMITS * RECORD_BYTES:
            self.fail(f"{candidate}: {loss.lost_bytes} bytes are said to be exact, of {lost}")
        # An estimate goes by the fastest round: within one each application may be faster for once.
        burst = 0 if loss.proven else RECORD_BYTES * (SIDE_BY_SIDE + len(self.world.ways))
        if loss.lost_bytes + burst < lost:
            self.fail(f"{candidate}: {loss.lost_bytes} bytes are said to be lost, and {lost} are")
        accepted = incident is not None and incident.accept_loss_bytes is not None
        if loss.lost_bytes > d.policy.max_data_loss_bytes and not accepted:
            self.fail(f"{candidate}: {loss.sentence}; that is more than max_data_loss")
        well = incident is not None and incident.diagnosis in WELL and not accepted
        if told and well and before.state.proof.kind is ProofKind.STOPPED:
            self.fail(f"{candidate}: it was well, and was given up at the loss of {told}")
        if told and d.policy.max_data_loss_bytes == 0 and not accepted:
            self.fail(f"{candidate}: commits are lost, and max_data_loss is 0: {told}")

    def promises_kept(self, d: Daemon, m: Machine, server: Server) -> None:
        promise = m.memory.promise
        if promise is None or promise.void:
            return
        names = {promise.standby_names, "" if promise.kept is None else promise.kept.standby_names}
        held = set(server.wal)
        for told in self.world.acknowledged:
            seen = told.setting in names and told.at - told.promised_since > 3.0
            if told.synchronous and seen and told.number not in held:
                self.fail(
                    f"{server.name} is confirmed without commit {told.number}, which {told.node}"
                    f" acknowledged at {told.at:.2f} s under {told.setting}"
                )
