"""Real servers of one cluster as the effects see them: a world to perform one in."""

from __future__ import annotations

from failoverd.core.memory import Memory
from failoverd.core.model import ClusterView, NodeName, SystemIdentifier, Timeline
from failoverd.core.policy import StepLimits
from failoverd.demo import postgres
from failoverd.demo.postgres import Server
from failoverd.effect.world import Node, World
from failoverd.transport.postgres import SqlAddress
from tests.cluster.servers import ask_about, monotonic


def world_of(*all_of_them: Server, role: str = postgres.SUPERUSER) -> World:
    """Their hosts are this one; `role` is whom the effects connect as."""
    nodes = {}
    for server in all_of_them:
        asked = ask_about(server)
        name = NodeName(server.name)
        address = SqlAddress("127.0.0.1", server.port, role, "postgres", lambda: None, "disable")
        nodes[name] = Node(name, asked.host, address, asked.arguments)
    one = next(server for server in all_of_them if postgres.postmaster_pid(server))
    system = postgres.sql(one, "select system_identifier from pg_control_system();")
    memory = Memory(
        primary=NodeName(all_of_them[0].name),
        system_identifier=SystemIdentifier(system),
        timeline=Timeline(1),
    )
    return World(nodes, memory, ClusterView({}), StepLimits(), monotonic, monotonic, 10.0)
