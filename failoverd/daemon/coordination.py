"""Several daemons by way of etcd: one lease a daemon, and a leadership for each cluster."""

from __future__ import annotations

import socket
from pathlib import Path

from failoverd.config.daemon import Daemon
from failoverd.config.leadership import Leadership as Section
from failoverd.config.leadership import tls_context
from failoverd.config.secrets import SecretMissing, first_line
from failoverd.core.model import Instant
from failoverd.core.survey import Shared
from failoverd.daemon.candidacy import Candidacy, Named
from failoverd.daemon.journal import Journal
from failoverd.daemon.journal_file import JournalFailed
from failoverd.daemon.leadership import Alone, Leadership, Standing
from failoverd.daemon.lease import LeaseKept
from failoverd.daemon.told_in_etcd import read_named, read_said
from failoverd.observability import log
from failoverd.transport.etcd import Etcd, EtcdClient, EtcdFailed

SEEN_WITHIN_S = 3.0


class Coordination:
    """Of one daemon."""

    def __init__(self, settings: Daemon, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        self._client: EtcdClient | None = None
        self._lease: LeaseKept | None = None
        self._said: dict[str, tuple[object, ...]] = {}

    def leadership_of(self, cluster: str) -> Leadership:
        """Raises JournalFailed where what is known of earlier terms cannot be read."""
        section = self._settings.leadership
        if section.kind == "none":
            return Alone(self._journal, cluster)
        if self._client is None or self._lease is None:
            self._client = EtcdClient(_etcd(section))
            self._lease = LeaseKept(self._client, section.ttl)
        named = _named(self._settings)
        return Candidacy(cluster, section.prefix, named, self._client, self._lease, self._journal)

    async def run(self) -> None:
        """Until cancelled."""
        if self._lease is not None:
            await self._lease.run()

    async def close(self) -> None:
        """Let another daemon lead at once."""
        if self._lease is not None and self._client is not None:
            await self._lease.give_back()
            await self._client.close()

    def forget(self, cluster: str) -> None:
        self._said.pop(cluster, None)

    def say(self, cluster: str, standing: Standing) -> None:
        """Once, and not again with each attempt that fails in another way."""
        if standing.kind == "none":
            return
        key = (standing.leads, standing.leader, bool(standing.failing))
        if self._said.get(cluster) == key:
            return
        self._said[cluster] = key
        tell = log.logger().error if standing.failing else log.logger().info
        tell(f"leadership: {standing.sentence}", cluster=cluster)


async def seen_in_etcd(settings: Daemon, cluster: str) -> Shared | None:
    """Who leads and who is there, for whoever is no daemon; None where there is but one."""
    section = settings.leadership
    if section.kind == "none":
        return None
    below = f"{section.prefix}{cluster}/"
    try:
        client = EtcdClient(_etcd(section))
        try:
            found = await client.read(below, SEEN_WITHIN_S, before=f"{below}told/")
        finally:
            await client.close()
    except (EtcdFailed, JournalFailed) as failed:
        return Shared(leads=False, failing=str(failed))
    leader, _ = read_named(found.get(f"{below}leader"))
    said = [
        read_said(kept.value, Instant(0.0))
        for key, kept in found.items()
        if key.startswith(f"{below}daemons/")
    ]
    return Shared(False, leader, "", tuple(sorted(one.name for one in said if one is not None)))


def _etcd(section: Section) -> Etcd:
    try:
        context = tls_context(section)
    except OSError as error:
        raise JournalFailed(f"daemon.leadership: its TLS files cannot be used: {error}") from error
    file = section.password_file
    return Etcd(
        tuple(section.endpoints),
        context,
        section.user,
        (lambda: "") if file is None else (lambda: _secret(file)),
    )


def _secret(file: Path) -> str:
    try:
        return first_line(file)
    except SecretMissing as missing:
        raise ValueError(str(missing)) from None


def _named(settings: Daemon) -> Named:
    section = settings.leadership
    host, _, _ = settings.listen.rpartition(":")
    shown = host.strip("[]") not in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::")  # noqa: S104 - nothing listens there
    scheme = "http" if settings.tls is None else "https"
    address = section.address or (f"{scheme}://{settings.listen}" if shown else "")
    return Named(section.name or socket.gethostname(), address)
