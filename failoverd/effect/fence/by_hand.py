"""What a human can run where a fence cannot be proved: the commands for how this server is run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from failoverd.effect.world import Node


def advice(node: Node) -> str:
    """Guard it, stop it, and say so: each can be pasted as it stands."""
    on_its_host = "; ".join(commands(node))
    whose = "" if node.become else ", as the owner of the data directory"
    return (
        f"make sure that {node.name} is off for good (on its host{whose}: {on_its_host}),"
        f" then: failoverd fenced {node.name} --reason 'why you are sure'"
    )


def commands(node: Node) -> tuple[str, str]:
    """The guard comes first: a unit may start it again at once."""
    data = node.arguments["data_dir"]
    return _as_owner(node, ["touch", f"{data}/standby.signal"]), _stop(node)


def _as_owner(node: Node, words: Sequence[str]) -> str:
    return shlex.join([*node.become, *words])


def _stop(node: Node) -> str:
    told = node.arguments
    if told.get("stop_command"):
        return _as_owner(node, told["stop_command"].split("\n"))
    if told.get("service"):
        return shlex.join(["sudo", "systemctl", "stop", told["service"]])
    if told.get("debian_cluster"):
        version, _, name = told["debian_cluster"].partition("/")
        return shlex.join(["sudo", "pg_ctlcluster", version, name, "stop", "-m", "immediate"])
    pg_ctl = f"{told['bin_dir']}/pg_ctl"
    return _as_owner(node, [pg_ctl, "-D", told["data_dir"], "stop", "-m", "immediate"])
