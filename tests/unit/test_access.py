"""Over TCP, nobody acts but whoever has the token, and nobody on the way can read it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest

from failoverd.config.access import context_of
from failoverd.config.load import load
from failoverd.config.verification import verifying
from failoverd.daemon import listening
from failoverd.daemon.clock import monotonic
from failoverd.daemon.control import tcp_application
from failoverd.daemon.fleet import Fleet
from failoverd.daemon.journal import Journal
from failoverd.observability.limits import limited
from failoverd.observability.metrics import Metrics
from tests.unit.test_config import SHORT
from tests.unit.test_config_mistakes import told
from tests.unit.test_tls import issue, written
from tests.waiting import until

TOKEN = "0123456789abcdef" * 4
TLS = "  tls: {{cert_file: {0}/failoverd.crt, key_file: {0}/failoverd.pem{1}}}\n"
WITH_TOKEN = "  token_file: {0}/automation\n"
RELOAD = "/api/v1/reload"
PAUSE = "/api/v1/clusters/main/pause"


@pytest.fixture
def authority(tmp_path):
    """The files of a daemon with TLS and a token; the authority of its certificate."""
    ours = issue("our authority")
    written(tmp_path, "authority", ours)
    written(tmp_path, "failoverd", issue("failoverd", ours)).chmod(0o600)
    token = tmp_path / "automation"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    return ours


def configured(folder, *lines, more=""):
    text = SHORT + "daemon:\n" + f"  state_dir: {folder}\n"
    text += "".join(line.format(folder, more) for line in lines)
    file = folder / "config.yaml"
    file.write_text(text)
    return file


@dataclass
class Listening:
    folder: Path
    port: int

    def trust(self, root="authority", client=None):
        context = verifying(self.folder / f"{root}.crt")
        if client is not None:
            context.load_cert_chain(client)
        return context

    async def post(self, path, tls, token=None):
        """The status, and what was said."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n"
        head += "" if token is None else f"Authorization: Bearer {token}\r\n"
        writer.write(f"{head}\r\n".encode())
        try:
            async with asyncio.timeout(60):
                answer = (await reader.read()).decode()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return int(answer.split()[1]), answer

    def kept(self):
        file = self.folder / "audit.log"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@contextlib.asynccontextmanager
async def daemon(file):
    """Its port and its fleet, as it has them; what it watches is nowhere."""
    configuration = load(file, check_files=False)
    settings = configuration.daemon
    journal = Journal.open(settings.state_dir)
    fleet = Fleet(configuration, file, journal, Metrics())
    runner = listening.runner_of(tcp_application(fleet, settings, limited(monotonic)))
    await runner.setup()
    context = None if settings.tls is None else context_of(settings.tls)
    server = await listening.listen(runner, "127.0.0.1", 0, context)
    try:
        yield Listening(file.parent, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await runner.cleanup()
        journal.close()


async def test_whoever_has_the_token_acts_and_the_audit_log_says_who_it_was(tmp_path, authority):
    async with daemon(configured(tmp_path, TLS, WITH_TOKEN)) as port:
        _, answer = await port.post(RELOAD, port.trust(), TOKEN)
        # Taken, and refused for what it comes to: the keys of the nodes are not there.
        assert "409" in answer.split("\r\n", 1)[0]
        await until(port.kept, "a thread has written it")
    (line,) = port.kept()
    assert (line["act"], line["by"]) == ("reload", "automation from 127.0.0.1")
    assert TOKEN not in (tmp_path / "audit.log").read_text()


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "0", "é" * 40])
@pytest.mark.parametrize("path", [RELOAD, PAUSE])
async def test_without_the_right_token_nothing_is_done(tmp_path, authority, token, path):
    async with daemon(configured(tmp_path, TLS, WITH_TOKEN)) as port:
        status, answer = await port.post(path, port.trust(), token)
    assert status == 401
    assert "WWW-Authenticate: Bearer" in answer
    assert port.kept() == []


async def test_a_token_that_was_changed_holds_at_once_and_one_open_to_others_holds_no_more(
    tmp_path, authority
):
    file = tmp_path / "automation"
    async with daemon(configured(tmp_path, TLS, WITH_TOKEN)) as port:
        file.write_text(TOKEN[::-1])
        assert (await port.post(RELOAD, port.trust(), TOKEN))[0] == 401
        assert (await port.post(RELOAD, port.trust(), TOKEN[::-1]))[0] == 409
        file.chmod(0o640)
        status, answer = await port.post(RELOAD, port.trust(), TOKEN[::-1])
    assert status == 503
    assert str(tmp_path) not in answer


@pytest.mark.parametrize("lines", [(), (TLS,)], ids=["plain TCP", "TLS without a token"])
async def test_where_there_is_no_token_there_are_no_acts(tmp_path, authority, lines):
    async with daemon(configured(tmp_path, *lines)) as port:
        tls = port.trust() if lines else None
        for path in (RELOAD, PAUSE):
            status, _ = await port.post(path, tls, TOKEN)
            assert status in (404, 405)
    assert port.kept() == []


async def test_with_tls_nothing_is_told_in_clear(tmp_path, authority):
    async with daemon(configured(tmp_path, TLS, WITH_TOKEN)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
        writer.write(b"POST /api/v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(60):
                assert b"HTTP" not in await reader.read()
        writer.close()


async def test_a_client_that_trusts_another_authority_sends_no_token(tmp_path, authority):
    written(tmp_path, "another", issue("another authority"))
    async with daemon(configured(tmp_path, TLS, WITH_TOKEN)) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await port.post(RELOAD, port.trust("another"), TOKEN)


async def test_with_an_authority_for_clients_the_token_alone_is_not_enough(tmp_path, authority):
    mine = written(tmp_path, "mine", issue("mine", authority))
    foreign = written(tmp_path, "foreign", issue("foreign", issue("another authority")))
    more = f", client_ca_file: {tmp_path}/authority.crt"
    async with daemon(configured(tmp_path, TLS, WITH_TOKEN, more=more)) as port:
        for client in (None, foreign):
            # With TLS 1.3 a client is told after its handshake: the answer is none, or an error.
            with pytest.raises((ssl.SSLError, ConnectionError, IndexError)):
                await port.post(RELOAD, port.trust(client=client), TOKEN)
        assert port.kept() == []
        assert (await port.post(RELOAD, port.trust(client=mine), TOKEN))[0] == 409


def test_a_token_without_tls_is_refused_with_what_to_write(tmp_path, authority):
    (found,) = told(configured(tmp_path, WITH_TOKEN), check_files=False)
    assert "token_file" in found
    assert "would be sent in clear" in found
    assert "write tls: {cert_file: ..., key_file: ...}" in found


def of_access(file):
    return [one for one in told(file) if "daemon" in one]


@pytest.mark.parametrize("name", ["automation", "failoverd.pem"])
def test_a_token_or_key_that_others_may_read_is_refused(tmp_path, authority, name):
    (tmp_path / name).chmod(0o640)
    (found,) = of_access(configured(tmp_path, TLS, WITH_TOKEN))
    assert f"run: chmod 600 {tmp_path}/{name}" in found


@pytest.mark.parametrize("token", ["hunter2hunter2", "hunter2 " * 10, "\n" + TOKEN, "hunter2é" * 9])
def test_a_token_that_could_be_guessed_or_not_be_sent_is_refused(tmp_path, authority, token):
    (tmp_path / "automation").write_text(token)
    (found,) = of_access(configured(tmp_path, TLS, WITH_TOKEN))
    assert f"openssl rand -hex 32 > {tmp_path}/automation" in found
    assert "hunter2" not in found


def test_a_key_of_another_certificate_is_refused(tmp_path, authority):
    other = issue("failoverd", authority)
    certificate = (tmp_path / "failoverd.crt").read_bytes()
    written(tmp_path, "failoverd", other).chmod(0o600)
    (tmp_path / "failoverd.crt").write_bytes(certificate)
    (found,) = of_access(configured(tmp_path, TLS, WITH_TOKEN))
    assert "write files that belong together" in found


async def ended(port, *said):
    """Until the other end hangs up, having been told so much, a piece after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(60):
            reading = asyncio.ensure_future(reader.read())
            for piece in said:
                writer.write(piece)
                await asyncio.wait([reading], timeout=0.05)
            await reading
    writer.close()


@pytest.mark.parametrize("lines", [(), (TLS,)], ids=["HTTP", "HTTPS"])
async def test_who_says_nothing_or_never_comes_to_an_end_is_hung_up_on(
    tmp_path, authority, monkeypatch, lines
):
    monkeypatch.setattr(listening, "SILENT_S", 0.5)
    monkeypatch.setattr(listening, "HANDSHAKE_S", 0.5)
    async with daemon(configured(tmp_path, *lines)) as port:
        await ended(port.port)
        if not lines:
            head = [b"GET /healthz HTTP/1.1\r\n", *[b"X-More: and more\r\n"] * 100]
            await ended(port.port, *head)


@pytest.mark.parametrize("lines", [(), (TLS,)], ids=["HTTP", "HTTPS"])
async def test_many_that_come_at_once_and_say_nothing_take_no_more_than_there_may_be(
    tmp_path, authority, monkeypatch, lines
):
    monkeypatch.setattr(listening, "CONNECTIONS", 2)
    async with daemon(configured(tmp_path, *lines)) as port:
        tls = port.trust() if lines else None
        silent = [socket.create_connection(("127.0.0.1", port.port), 60) for _ in range(2)]
        await ended(port.port)
        for one in silent:
            one.close()
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError, IndexError):
                    if (await port.post(RELOAD, tls))[0] in (404, 405):
                        break
                await asyncio.sleep(0.01)
