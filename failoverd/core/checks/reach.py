"""Checks: can each server and each host be reached, and is it the one that is meant."""

from __future__ import annotations

import re

from failoverd.core.checks.row import OfHost, OfNode, OfServer, Row
from failoverd.core.judged import Judged, fault, fine, untold, worry
from failoverd.core.model import Look, NodeName, Outcome
from failoverd.core.survey import HostStanding, ServerStanding, Survey

SLOW_LOGIN_S = 0.25
DAY_S = 86400.0
CERTIFICATE_WARN_S, CERTIFICATE_FAIL_S = 14 * DAY_S, 2 * DAY_S
CLOCK_S = 2.0
OURS = "put that right on failoverd's own host first: nothing was asked"


def sql(s: Survey, node: NodeName) -> Judged | None:
    look = s.server_look(node)
    if look.ok:
        return fine("SQL answers")
    said = f"SQL: {look.outcome} {look.detail}".rstrip()
    if look.outcome is Outcome.NOT_TRIED:
        return untold("SQL was not asked yet")
    if look.outcome is Outcome.OUR_FAULT:
        return fault(said, OURS)
    return fault(said, _sql_fix(s, node, look))


_NO_ENTRY = re.compile(
    r'no pg_hba\.conf entry for host "([^"]+)", user "([^"]+)", database "([^"]+)"'
)


def _sql_fix(s: Survey, node: NodeName, look: Look) -> str:
    """By what the server, or nobody, has answered."""
    refused = _NO_ENTRY.search(look.detail)
    if refused is not None:
        address, user, database = refused.groups()
        width = 128 if ":" in address else 32
        return (
            f"on {node}: echo 'host {database} {user} {address}/{width} scram-sha-256' >>"
            " \"$(psql -Atc 'show hba_file')\" && psql -c 'select pg_reload_conf()'"
        )
    if look.outcome is Outcome.MISCONFIGURED:
        primary = s.primary or "the primary"
        return (
            "failoverd grants --password-file /etc/failoverd/password   # and what it prints, into"
            f" psql on {primary}; see also the section sql, and pg_hba.conf of {node}"
        )
    named = s.policy.nodes[node]
    return f"on {node}: systemctl start postgresql   # it must answer on {named.host}:{named.port}"


def _host_key_refused(look: Look) -> bool:
    return look.outcome is Outcome.MISCONFIGURED and "host key" in look.detail


def _sudo_refused(look: Look) -> bool:
    return look.outcome is Outcome.MISCONFIGURED and "sudo" in look.detail


def ssh_host_key(s: Survey, node: NodeName) -> Judged | None:
    look = s.host_look(node)
    if _host_key_refused(look):
        host, login = s.policy.nodes[node].host, s.logins.get(node)
        known = "/etc/failoverd/known_hosts" if login is None else login.known_hosts
        return fault(
            f"its host key is not the one in known_hosts: {look.detail}",
            f"ssh-keyscan {host} >> {known}   # once compared, on its console",
        )
    return fine("its host key is the known one") if look.ok else untold("nobody logged in")


def ssh_login(s: Survey, node: NodeName) -> Judged | None:
    look = s.host_look(node)
    if look.ok:
        return fine("its host answers")
    if _host_key_refused(look) or _sudo_refused(look) or look.outcome is Outcome.NOT_TRIED:
        return untold("nobody logged in")
    said = f"host: {look.outcome} {look.detail}".rstrip()
    if look.outcome is Outcome.OUR_FAULT:
        return fault(said, OURS)
    return fault(said, _login_fix(s, node, look))


def _login_fix(s: Survey, node: NodeName, look: Look) -> str:
    """By what the host, or nobody, has answered."""
    host, login = s.policy.nodes[node].host, s.logins.get(node)
    if look.outcome is Outcome.REJECTED:
        return f"set postgres.data_dir and postgres.bin_dir of {node} to what is there"
    if look.outcome is not Outcome.MISCONFIGURED:
        return f"on {node}: systemctl start ssh   # it must answer on {host}, also to failoverd"
    if login is None or not login.public_key:
        return f"ssh-copy-id -i /etc/failoverd/id_ed25519.pub postgres@{host}   # ssh.key_file"
    return (
        f"on {node}: su {login.user} -s /bin/sh -c 'umask 077; mkdir -p ~/.ssh; echo"
        f' "{login.public_key}" >> ~/.ssh/authorized_keys\''
    )


def sudo(s: Survey, node: NodeName) -> Judged | None:
    look, host = s.host_look(node), s.hosts.get(node)
    if _sudo_refused(look):
        return fault(
            f"the words of `become` are refused: {look.detail}",
            f"on {node}: echo '{_user(s, node)} ALL=(postgres) NOPASSWD: ALL' >"
            " /etc/sudoers.d/failoverd",
        )
    if host is None:
        return untold("nobody logged in")
    if not host.owns_data:
        return fault(
            f"{host.user} is not the owner of the data directory: nothing could be fenced",
            "postgres: {become: [sudo, -n, -u, postgres]}   # or ssh: {user: ...}, the owner",
        )
    if host.sudo is False:
        words = f"/usr/bin/systemctl * {host.unit}"
        return worry(
            f"{host.user} may not stop {host.unit} by systemctl: only signals are left",
            f"on {node}: echo '{host.user} ALL=(root) NOPASSWD: {words}' >"
            " /etc/sudoers.d/failoverd",
        )
    return fine("who logs in may do there what must be done")


def _user(s: Survey, node: NodeName) -> str:
    login = s.logins.get(node)
    return "SSH_USER" if login is None else login.user


def identity(s: Survey, node: NodeName) -> Judged | None:
    report = s.report(node)
    server, facts = report.server or report.last_server, report.host.facts
    if server is None or facts is None:
        return untold("SQL or host did not answer")
    if facts.system_identifier != server.system_identifier:
        return fault(
            f"its host's data directory belongs to {facts.system_identifier}, its server to"
            f" {server.system_identifier}",
            f"set postgres.data_dir of {node} to {server.data_directory or 'SHOW data_directory'}",
        )
    known = s.memory.system_identifier
    if known is not None and server.system_identifier != known:
        return fault(
            f"it belongs to another cluster ({server.system_identifier}, not {known})",
            f"set the host of {node} to a node of this cluster, or make it anew by pg_basebackup",
        )
    if node not in s.memory.calibrations:
        return fault(
            "its host does not see the server that SQL sees: a fence could not be proved",
            f"set postgres.data_dir of {node} to {server.data_directory or 'SHOW data_directory'},"
            " and its host to the address of that machine itself",
        )
    return fine("SQL and host see the same server")


def node_address(s: Survey, node: NodeName, server: ServerStanding) -> Judged | None:
    """A pooler, a VIP or another node at its address would lead an act elsewhere."""
    named = s.policy.nodes[node]
    twin = _twin(s, node)
    if twin is not None:
        return fault(
            f"{twin} is the very same server",
            f"set hosts of {node} and {twin} to the machines' own addresses, not to a virtual IP",
        )
    if server.server_port and server.server_port != named.port:
        return fault(
            f"the server that answers listens on {server.server_port}, not on {named.port}: a"
            " pooler or proxy is in between",
            f"nodes: {{{node}: {{postgres: {{port: {server.server_port}}}}}}}   # PostgreSQL's own",
        )
    if not server.server_address and not named.host.startswith("/"):
        return fault(
            "our connection arrived there on a Unix socket: a pooler is in between",
            f"set host and postgres.port of {node} to PostgreSQL's own",
        )
    host = s.hosts.get(node)
    if host is not None and host.address_secondary:
        return worry(
            f"{named.host} is a second address of its interface: a virtual IP may move away",
            f"set the host of {node} to the first address of that machine",
        )
    return fine("its address is its own")


def _twin(s: Survey, node: NodeName) -> NodeName | None:
    mine = s.report(node).server
    for other in sorted(s.policy.nodes):
        theirs = s.report(other).server
        if other == node or mine is None or theirs is None:
            continue
        if (mine.system_identifier, mine.postmaster_started, mine.data_directory) == (
            theirs.system_identifier, theirs.postmaster_started, theirs.data_directory
        ) and mine.in_recovery == theirs.in_recovery:  # fmt: skip
            return other
    return None


def login_shell(_: Survey, node: NodeName, host: HostStanding) -> Judged | None:
    took = f"{host.login_s * 1000:.0f} ms"
    if host.login_s <= SLOW_LOGIN_S:
        return fine(f"network and login shell take {took}")
    return worry(
        f"network and login shell take {took}, in each step of a failover",
        f"on {node}: chsh -s /bin/sh {host.user}   # or keep its rc files short",
    )


def clock(_: Survey, node: NodeName, host: HostStanding) -> Judged | None:
    if abs(host.clock_ahead_s) <= CLOCK_S:
        return fine("its clock agrees with ours")
    way = "ahead of" if host.clock_ahead_s > 0 else "behind"
    return worry(
        f"its clock is {abs(host.clock_ahead_s):.0f} s {way} ours: logs cannot be compared",
        f"on {node}: timedatectl set-ntp true",
    )


def certificate(s: Survey, node: NodeName, server: ServerStanding) -> Judged | None:
    if server.certificate_ends_at is None:
        return None
    left_s = server.certificate_ends_at - s.at
    if left_s > CERTIFICATE_WARN_S:
        return fine(f"its certificate is good for {left_s / DAY_S:.0f} days")
    fix = f"on {node}: psql -c 'select pg_reload_conf()'   # once ssl_cert_file is renewed"
    if left_s <= 0:
        return fault("its certificate has expired", fix)
    said = f"its certificate ends in {left_s / DAY_S:.1f} days"
    return worry(said, fix) if left_s > CERTIFICATE_FAIL_S else fault(said, fix)


ROWS: tuple[Row, ...] = (
    OfNode("sql", "Each server answers our role by SQL.",
           "Start it; `pg_hba.conf`; `failoverd grants`.", sql),
    OfNode("ssh_host_key", "The host key is the one in `known_hosts`: else another may answer.",
           "Compare the key, then `ssh-keyscan HOST >> known_hosts`.", ssh_host_key),
    OfNode("ssh_login", "The key logs in, and the host program runs there.",
           "The key in `authorized_keys`; right `bin_dir` and `data_dir`.", ssh_login),
    OfNode("sudo", "Whoever logs in is the owner of the data directory, by `become` where need be,"
           " and may stop the systemd unit.", "A line in `/etc/sudoers.d`.", sudo),
    OfNode("identity", "SQL and host see the same server, of this cluster: without that no silence"
           " of the host proves anything.", "The right `data_dir` and `host`.", identity),
    OfServer("node_address", "A node's address leads to PostgreSQL itself: no pooler, no proxy, no"
             " virtual IP, no other node.", "The machine's own address and port.", node_address),
    OfHost("login_shell", "Network and login shell answer within 250 ms, as each step of a"
           " failover waits for them.", "`chsh -s /bin/sh USER`; short rc files.", login_shell),
    OfHost("clock", "The host's clock agrees with ours within 2 s. Nothing is decided by it.",
           "`timedatectl set-ntp true`.", clock),
    OfServer("certificate", "The server's TLS certificate is good for two weeks more (two days:"
             " fail).", "Renew it, and reload the server.", certificate),
)  # fmt: skip
