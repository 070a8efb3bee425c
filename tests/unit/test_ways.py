"""Each way of the applications, against small fakes that keep the promises of the real thing."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

import pytest

from failoverd.core.effects import CloseTarget, Redirect
from failoverd.core.events import EffectFailed, Redirected, TargetClosed
from failoverd.core.memory import Memory
from failoverd.core.model import (
    ClusterView,
    CommandRun,
    Epoch,
    Instant,
    NodeName,
    Outcome,
    SystemIdentifier,
)
from failoverd.core.policy import StepLimits, TargetName
from failoverd.core.situation import Machine
from failoverd.core.states import Watching
from failoverd.daemon.agent_check import Port, serve_agent_checks
from failoverd.demo.postgres import free_ports
from failoverd.effect.redirect import pgbouncer
from failoverd.effect.redirect.haproxy import parsed
from failoverd.effect.redirect.target import close_target, look_at, redirect
from failoverd.effect.way import Haproxy, OwnWay, PgBouncer, VirtualIp
from failoverd.effect.world import Node, World
from failoverd.transport.haproxy import RuntimeApi
from failoverd.transport.host import HostAnswer
from failoverd.transport.local import LocalHost
from failoverd.transport.postgres import SqlAddress

PG1, PG2 = NodeName("pg1"), NodeName("pg2")
HOSTS = {PG1: "192.0.2.11", PG2: "192.0.2.12"}
WAY = TargetName("way")
COLUMNS = (
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight"
    " srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state"
    " srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl"
    " srv_check_port srv_check_addr srv_agent_addr srv_agent_port"
)


def monotonic() -> Instant:
    return Instant(time.monotonic())


def address(host: str) -> SqlAddress:
    return SqlAddress(host, 5432, "u", "d", lambda: None)


@dataclass
class FakeHost:
    """A database host that has the address or not, or does not answer."""

    node: NodeName
    has: bool = False
    answers: bool = True
    keeps: bool = False
    """It may not take the address away."""
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def call(self, verb, arguments, *, timeout_s):
        self.asked.append((arguments["mode"], arguments.get("ask", "")))
        run = CommandRun(self.node, verb, "", 0.0, 0)
        if not self.answers:
            return HostAnswer(Outcome.TIMED_OUT, None, {}, run)
        if arguments["mode"] == "remove" and self.keeps:
            return HostAnswer(Outcome.OK, 11, {"reason": ("it is still here",)}, run)
        self.has = {"add": True, "remove": False}.get(arguments["mode"], self.has)
        said = {"verdict": ("here" if self.has else "absent",)}
        return HostAnswer(Outcome.OK, 0, {**said, "boot_id": ("b",), "uptime": ("5.0",)}, run)

    async def close(self):
        pass


def world(way, hosts=None) -> World:
    hosts = hosts or {name: FakeHost(name) for name in HOSTS}
    nodes = {name: Node(name, hosts[name], address(HOSTS[name]), {}) for name in HOSTS}
    memory = Memory(primary=PG2, system_identifier=SystemIdentifier("7"))
    return World(
        nodes=nodes,
        memory=memory,
        view=ClusterView({}),
        limits=StepLimits(),
        monotonic=monotonic,
        boottime=monotonic,
        poll_timeout_s=1.0,
        owner="us",
        targets={WAY: way},
        cluster="main",
    )


async def led(way, hosts=None):
    return await redirect(Redirect(PG2, WAY, Epoch(3), 1), world(way, hosts))


# HAProxy.


@dataclass
class RuntimeApiServer:
    """What `set server` and `show servers state` of HAProxy 2.6 do to two servers."""

    states: dict[str, int] = field(default_factory=lambda: {"pg1": 4, "pg2": 5})
    addresses: dict[str, str] = field(default_factory=lambda: {"pg1": "192.0.2.11:5432"})
    down: frozenset[str] = frozenset()
    deaf: bool = False
    agent: int = 0
    commands: list[str] = field(default_factory=list)

    async def __call__(self, reader, writer):
        for command in (await reader.readline()).decode().strip().split(";"):
            self.commands.append(command)
            writer.write(f"{self.done(command.split())}\n".encode())
        writer.close()

    def done(self, words):
        match words:
            case ["show", "servers", "state", "postgres"]:
                rows = [self.row(name) for name in self.states]
                return "\n".join(["1", COLUMNS, *rows, ""])
            case ["show", *_]:
                return "Can't find backend."
            case ["set", "server", name, "state", state] if not self.deaf:
                bits = self.states[name.partition("/")[2]]
                self.states[name.partition("/")[2]] = bits & ~1 if state == "ready" else bits | 1
                return ""
            case ["set", "server", name, "addr", host, "port", port]:
                self.addresses[name.partition("/")[2]] = f"{host}:{port}"
                return ""
            case _:
                return ""

    def row(self, name):
        host, _, port = self.addresses.get(name, "192.0.2.12:5432").partition(":")
        state = 0 if self.states[name] & 1 or name in self.down else 2
        bits = self.states[name]
        return f"2 postgres 1 {name} {host} {state} {bits} 1 1 0 1 0 0 8 {self.agent} 0 0 - {port}"


@pytest.fixture
async def runtime_api(tmp_path):
    fake = RuntimeApiServer()
    server = await asyncio.start_unix_server(fake, tmp_path / "sock")
    async with server:
        yield fake, RuntimeApi(tmp_path / "sock")


def haproxy(api, **more):
    known = {"backend": "postgres", "servers": {PG1: "pg1", PG2: "pg2"}, "server": ""}
    places = {name: (host, 5432) for name, host in HOSTS.items()}
    return Haproxy(**{"api": api, "addresses": places, "timeout_s": 1.0, **known, **more})


async def test_haproxy_shuts_the_old_server_and_its_sessions_before_it_opens_the_new_one(
    runtime_api,
):
    fake, api = runtime_api
    result = await led(haproxy(api))
    assert isinstance(result, Redirected)
    assert result.evidence.sentence == "way: pg2 of postgres takes sessions"
    acts = [one for one in fake.commands if not one.startswith("show servers")]
    assert acts == [
        "set server postgres/pg1 state maint",
        "shutdown sessions server postgres/pg1",
        "set server postgres/pg2 state ready",
    ]


async def test_haproxy_that_is_right_already_is_only_looked_at(runtime_api):
    fake, api = runtime_api
    fake.states = {"pg1": 5, "pg2": 4}
    assert isinstance(await led(haproxy(api)), Redirected)
    assert set(fake.commands) == {"show servers state postgres"}


async def test_the_one_server_of_a_backend_gets_the_address_of_the_new_primary(runtime_api):
    fake, api = runtime_api
    result = await led(haproxy(api, servers={}, server="pg1"))
    assert result.evidence.sentence == "way: postgres/pg1 at 192.0.2.12:5432 takes sessions"
    first = [one for one in fake.commands if not one.startswith("show servers")][:3]
    assert first == [
        "set server postgres/pg1 state maint",
        "shutdown sessions server postgres/pg1",
        "set server postgres/pg1 addr 192.0.2.12 port 5432",
    ]


async def test_an_agent_that_said_down_before_the_failover_is_overruled(runtime_api):
    fake, api = runtime_api
    fake.agent = 22
    await led(haproxy(api))
    assert "set server postgres/pg2 agent up" in fake.commands


async def test_what_haproxy_was_told_and_did_not_do_counts_as_not_done(runtime_api):
    fake, api = runtime_api
    fake.deaf = True
    result = await led(haproxy(api))
    assert isinstance(result, EffectFailed)
    assert result.evidence.sentence == "way: pg1 of postgres takes sessions"


async def test_a_primary_that_haproxy_finds_down_is_not_called_led_to(runtime_api):
    fake, api = runtime_api
    fake.down = frozenset({"pg2"})
    result = await led(haproxy(api))
    assert isinstance(result, EffectFailed)
    assert "pg2 is admitted, and HAProxy finds it down itself" in result.evidence.sentence


async def test_haproxy_is_closed_towards_one_server(runtime_api):
    fake, api = runtime_api
    result = await close_target(CloseTarget(PG1, WAY, Epoch(3)), world(haproxy(api)))
    assert isinstance(result, TargetClosed)
    assert fake.states["pg1"] == 5


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"backend": "other"}, 'it shows no server of backend other: "Can\'t find backend."'),
        ({"servers": {PG1: "a", PG2: "pg2"}}, "backend postgres has no server a"),
        ({"api": RuntimeApi(None, "127.0.0.1", 1)}, "it cannot be reached: "),
    ],
)
async def test_a_haproxy_that_is_not_as_configured_says_so(runtime_api, more, why):
    _, api = runtime_api
    result = await led(haproxy(**{"api": api, **more}))
    assert isinstance(result, EffectFailed)
    assert why in result.evidence.sentence
    report = await look_at(WAY, world(haproxy(**{"api": api, **more})))
    assert report is not None
    assert not report.look.ok
    assert why in report.sentence


def test_a_server_in_drain_or_in_maintenance_by_its_name_takes_nothing():
    text = "\n".join([COLUMNS, *(RuntimeApiServer({"s": bits}).row("s") for bits in (8, 32, 64))])
    assert not parsed(text)["s"].admitted
    assert parsed("nonsense\n" + COLUMNS) == {}


# PgBouncer: its file.


def bouncer(file) -> PgBouncer:
    places = {name: (host, 5432) for name, host in HOSTS.items()}
    return PgBouncer(
        admin=SqlAddress("127.0.0.1", 1, "u", "pgbouncer", lambda: None, "disable"),
        host=LocalHost(NodeName("pooler"), monotonic),
        file=str(file),
        databases={"app": "dbname=app  pool_size=20", "other": ""},
        addresses=places,
        pause_timeout_s=0.2,
        timeout_s=5.0,
    )


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Where the local host keeps its epoch."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path


async def test_the_file_is_written_although_the_console_is_down(home):
    file = home / "databases.ini"
    result = await led(bouncer(file))
    assert isinstance(result, EffectFailed)
    assert "its console cannot be reached" in result.evidence.sentence
    assert file.read_text() == (
        f"{pgbouncer.MARK}\n[databases]\n"
        "app = host=192.0.2.12 port=5432 dbname=app pool_size=20\n"
        "other = host=192.0.2.12 port=5432\n"
    )
    assert list(home.glob("databases.ini?*")) == []


async def test_a_file_that_somebody_else_wrote_is_left_alone(home):
    file = home / "databases.ini"
    file.write_text("[databases]\nmine = host=h\n")
    result = await led(bouncer(file))
    assert isinstance(result, EffectFailed)
    assert "was not written by failoverd: move its lines elsewhere" in result.evidence.sentence
    assert file.read_text() == "[databases]\nmine = host=h\n"


async def test_a_file_that_is_right_is_not_written_again(home):
    file = home / "databases.ini"
    file.write_text(pgbouncer.lines(bouncer(file), PG2))
    before = file.stat().st_ino
    await led(bouncer(file))
    assert file.stat().st_ino == before


async def test_a_daemon_that_slept_does_not_lead_it_back(home):
    """The host keeps the highest epoch, of this cluster."""
    file = home / "databases.ini"
    await led(bouncer(file))
    later = world(bouncer(file))
    await redirect(Redirect(PG1, WAY, Epoch(2), 1), later)
    assert "host=192.0.2.12" in file.read_text()


# A virtual IP.

VIP = VirtualIp("192.0.2.100/24", {PG1: "eth0", PG2: "eth0"}, "sudo -n", 1.0)


async def test_a_virtual_ip_is_taken_from_the_old_host_before_the_new_one_has_it():
    hosts = {PG1: FakeHost(PG1, has=True), PG2: FakeHost(PG2)}
    result = await led(VIP, hosts)
    assert isinstance(result, Redirected)
    assert result.evidence.sentence == "way: pg2 has 192.0.2.100/24"
    assert [mode for mode, _ in hosts[PG1].asked] == ["look", "look", "remove", "look"]


async def test_a_virtual_ip_that_the_old_host_keeps_is_not_added():
    hosts = {PG1: FakeHost(PG1, has=True, keeps=True), PG2: FakeHost(PG2)}
    result = await led(VIP, hosts)
    assert isinstance(result, EffectFailed)
    assert "pg1 still has it: it is still here" in result.evidence.sentence
    assert not hosts[PG2].has


async def test_with_the_old_host_silent_the_new_one_first_asks_the_wire():
    hosts = {PG1: FakeHost(PG1, has=True, answers=False), PG2: FakeHost(PG2)}
    await led(VIP, hosts)
    assert ("add", "yes") in hosts[PG2].asked
    hosts = {PG1: FakeHost(PG1), PG2: FakeHost(PG2)}
    await led(VIP, hosts)
    assert ("add", "no") in hosts[PG2].asked


async def test_a_virtual_ip_on_two_hosts_does_not_lead_to_the_primary():
    report = await look_at(WAY, world(VIP, {n: FakeHost(n, has=True) for n in HOSTS}))
    assert report is not None
    assert not report.leads_to(PG2)


# A command.


def own(tmp_path, text, *, check=False, timeout_s=5.0):
    script = tmp_path / "redirect"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return OwnWay((str(script), "word"), check, timeout_s)


async def test_a_command_is_told_everything_in_its_environment_and_as_json(tmp_path):
    text = f'env >{tmp_path}/env; cat >{tmp_path}/json; echo "moved with $1"'
    result = await led(own(tmp_path, text))
    assert isinstance(result, Redirected)
    assert result.evidence.sentence.endswith("ended with 0: moved with word")
    environment = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert environment["FAILOVERD_PRIMARY"] == "pg2"
    assert environment["FAILOVERD_ACTION"] == "redirect"
    assert environment["FAILOVERD_HOST"] == "192.0.2.12"
    assert environment["FAILOVERD_EPOCH"] == "3"
    assert "VIRTUAL_ENV" not in environment
    told = json.loads((tmp_path / "json").read_text())
    assert told["nodes"]["pg1"] == {"host": "192.0.2.11", "port": 5432}
    assert told["cluster"] == "main"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo no; exit 3", "ended with 3: no"),
        ("exec sleep 600", "did not end: no end within 0.3 s: it was killed"),
    ],
)
async def test_a_command_that_fails_or_hangs_has_led_nobody(tmp_path, text, why):
    result = await led(own(tmp_path, text, timeout_s=0.3 if "sleep" in text else 5.0))
    assert isinstance(result, EffectFailed)
    assert why in result.evidence.sentence


async def test_a_command_with_a_check_is_asked_and_without_one_never(tmp_path):
    assert await look_at(WAY, world(own(tmp_path, "exit 0"))) is None
    text = f"[ $FAILOVERD_ACTION = redirect ] && touch {tmp_path}/done; [ -e {tmp_path}/done ]"
    way = own(tmp_path, text, check=True)
    before = await look_at(WAY, world(way))
    assert before is not None
    assert before.look.ok
    assert not before.points_at
    assert isinstance(await led(way), Redirected)
    after = await look_at(WAY, world(way))
    assert after is not None
    assert after.leads_to(PG2)


# Agent checks.


async def test_an_agent_check_is_answered_with_one_word_or_with_none():
    machine = [Machine(state=Watching(), memory=Memory(primary=PG1))]
    (number,) = free_ports(1)
    serving = asyncio.create_task(
        serve_agent_checks({Port("127.0.0.1", number, PG1): lambda: machine[0]})
    )

    async def word():
        for _ in range(2000):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", number)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            said = await reader.read()
            writer.close()
            return said
        raise AssertionError("not within 20 s: somebody listens")

    assert await word() == b"up\n"
    machine[0] = Machine(state=Watching(), memory=Memory(primary=PG2))
    assert await word() == b"down\n"
    machine[0] = Machine()
    assert await word() == b""
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
