import contextlib

import pytest

from tests.cluster import servers
from tests.cluster.demo_pair import running_pair
from tests.cluster.etcd import Store


@pytest.fixture(scope="session")
def grounds():
    """One for each major version there is here, laid when it is first asked for."""
    with contextlib.ExitStack() as places:
        laid = {}

        def ground(binaries):
            if binaries.major not in laid:
                place = places.enter_context(servers.short_directory(servers.fast_place()))
                programs = places.enter_context(servers.short_directory())
                laid[binaries.major] = servers.lay_ground(binaries, place, programs)
            return laid[binaries.major]

        yield ground


@pytest.fixture
def ground(grounds):
    return grounds(servers.binaries_by_major()[0])


@pytest.fixture
def room():
    """A directory for servers; whatever runs in it is ended."""
    with servers.short_directory(servers.fast_place()) as directory:
        yield directory


@pytest.fixture
def running(room):
    """Give it each server that is started: it ends it."""
    with contextlib.ExitStack() as stack:

        def keep(server):
            stack.callback(servers.end, server)
            return server

        yield keep


@pytest.fixture
def primary(ground, room, running):
    return running(servers.start_primary(ground, room))


@pytest.fixture
def standby(ground, room, running, primary):
    return running(servers.start_standby(ground, room, primary))


@pytest.fixture
def pair():
    """A primary and its synchronous standby, with the monitoring role, as the demo has them."""
    with running_pair() as (_, running):
        yield running


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    made.wait()
    yield made
    made.end()
