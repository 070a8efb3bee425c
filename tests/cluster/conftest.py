import contextlib

import pytest

from tests.cluster import servers


@pytest.fixture(scope="session")
def grounds():
    """One for each major version there is here, laid when it is first asked for."""
    with contextlib.ExitStack() as places:
        laid = {}

        def ground(binaries):
            if binaries.major not in laid:
                place = places.enter_context(servers.short_directory())
                laid[binaries.major] = servers.lay_ground(binaries, place)
            return laid[binaries.major]

        yield ground


@pytest.fixture
def ground(grounds):
    return grounds(servers.binaries_by_major()[0])


@pytest.fixture
def room():
    """A directory for servers; whatever runs in it is ended."""
    with servers.short_directory() as directory:
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
