"""What a server says of those that it streams to, of its upstream, and of its slots."""

from __future__ import annotations

from dataclasses import dataclass, replace

from failoverd.core.lsn import Lsn

STREAMING = "streaming"


@dataclass(frozen=True, slots=True)
class Receiver:
    """A standby's `pg_stat_wal_receiver`; `message_age_s` is by the standby's own clock."""

    status: str
    sender_host: str
    sender_port: int
    message_age_s: float | None

    @property
    def streams(self) -> bool:
        return self.status == STREAMING


@dataclass(frozen=True, slots=True)
class Sender:
    """A row of the primary's `pg_stat_replication`."""

    application_name: str
    client_address: str
    state: str
    sync_state: str
    flush_lsn: Lsn | None

    @property
    def streams(self) -> bool:
        return self.state == STREAMING


@dataclass(frozen=True, slots=True)
class Slot:
    """A row of `pg_replication_slots`; `retained_bytes` is the WAL that it holds back."""

    name: str
    active: bool
    wal_status: str
    retained_bytes: int | None
    logical: bool = False
    failover: bool = False
    """A logical slot that PostgreSQL 17 and later keep on standbys, too."""
    synced: bool = False
    """Of a standby: such a slot, copied from the primary."""
    temporary: bool = False


def lasting(slots: tuple[Slot, ...], known: tuple[Slot, ...]) -> tuple[Slot, ...]:
    """Without what changes from look to look: that must not be journaled each time."""
    kept = tuple(
        replace(slot, wal_status="", retained_bytes=None) for slot in slots if not slot.temporary
    )
    return known if kept == known else kept
