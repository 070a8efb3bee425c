"""A daemon that slept through the end of its own failover does no harm when it wakes."""

from __future__ import annotations

import signal

import pytest

from tests.lab.cluster import watched, with_pg3
from tests.lab.monitor import STATE_DIR
from tests.lab.server import DATA_DIR

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

OTHER = {
    "listen": "127.0.0.1:9188",
    "control_socket": "/run/failoverd/other.sock",
    "state_dir": f"{STATE_DIR}/other",
}

WATCHES_ALONE = {"failures": 1000, "fast_path": False}
"""It fails over only when it is told to."""


@pytest.mark.parametrize("step", ["fencing", "electing", "promoting"])
def test_woken_after_another_daemon_has_finished_it_it_follows_what_was_done(lab, step):
    """The sleeper would promote pg2, the other was told to promote pg3: never both of them."""

    nodes = {"pg2": {"priority": 200}}
    w = watched(lab, prepare=with_pg3, synchronous=False, rate=50, nodes=nodes)
    pg3 = lab.servers[2]
    config = lab.monitor.write_config(
        lab.servers, file="other.yaml", daemon=OTHER, detection=WATCHES_ALONE, nodes=nodes
    )
    other = lab.monitor.start_daemon(config)
    asked = lambda *words: lab.monitor.failoverd(*words, config=config, check=False)  # noqa: E731
    lab.monitor.wait_until(
        lambda: "if the primary died now" in asked("check").stdout, 60, "the other is ready"
    )
    w.pg1.kill9_postmaster()
    w.stop_daemon_at(step, before="watching")

    hosts = (w.pg1, w.pg2, pg3)

    def writable() -> list[str]:
        return [host.name for host in hosts if host.postmaster and not host.in_recovery]

    asked("failover", "--to", "pg3", "--yes", "--accept-loss", "1GB")
    # It knows of the freeze before it begins, or learns of it when nobody can be frozen by it.
    told = ("frozen by another failoverd", "somebody else writes or is being promoted")
    lab.monitor.wait_until(
        lambda: len(writable()) == 1 or any(word in other.log_text for word in told),
        60,
        "the other has ended it, or not",
    )
    w.daemon.signal(signal.SIGCONT)

    def follows() -> bool:
        status = w.status()
        return status["state"] == "watching" and [status["primary"]] == writable()

    def waits_for_a_word() -> bool:
        return "which this host has seen" in w.status()["sentence"]

    w.wait(lambda: follows() or waits_for_a_word(), 90, "the sleeper has seen what was done")
    if not follows():
        # Each knows of the other's hand on the standbys: nobody promotes without a word.
        assert writable() == []
        lab.monitor.failoverd("fenced", "pg1", "--reason", "killed and guarded", "--yes")
        w.wait(follows, 90, "the sleeper watches the only primary")
    assert other.exit_status is None
    if writable() != ["pg3"]:  # which the application does not know
        w.ledger.wait_for_node(writable()[0], 20)


def test_woken_after_an_operator_has_finished_it_by_hand_it_follows_what_was_done(lab):
    """The sleeper would promote pg2; somebody has guarded pg1 and promoted pg3 meanwhile."""

    nodes = {"pg2": {"priority": 200}}
    w = watched(lab, prepare=with_pg3, synchronous=False, rate=50, nodes=nodes)
    pg3 = lab.servers[2]
    w.pg1.kill9_postmaster()
    w.stop_daemon_at("fencing", before="promoting")
    w.pg1.run(["touch", f"{DATA_DIR}/standby.signal"], user="postgres")
    w.pg1.kill9_all()
    pg3.pg_ctl("promote", "-w")
    w.daemon.signal(signal.SIGCONT)
    w.wait(
        lambda: (s := w.status())["state"] == "watching" and s["primary"] == "pg3",
        60,
        "the sleeper watches pg3",
    )
    assert w.pg2.in_recovery
    assert w.pg1.postmaster is None
    assert "promoting pg2" not in w.daemon.log_text
