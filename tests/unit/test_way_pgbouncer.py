"""PgBouncer is led to the new primary by its file, whether its console answers or not."""

from __future__ import annotations

import pytest

from failoverd.core.effects import Redirect
from failoverd.core.events import EffectFailed
from failoverd.core.model import Epoch, NodeName
from failoverd.effect.redirect import pgbouncer
from failoverd.effect.redirect.target import redirect
from failoverd.effect.way import PgBouncer
from failoverd.transport.local import LocalHost
from failoverd.transport.postgres import SqlAddress
from tests.unit.vocabulary import PG1, PG2
from tests.unit.ways import HOSTS, WAY, led, monotonic, world


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
