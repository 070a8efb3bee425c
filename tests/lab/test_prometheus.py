"""Alerts and dashboard against what the daemon serves, by Prometheus' own programs."""

from __future__ import annotations

import pytest

from tests import monitored
from tests.lab.cluster import watched
from tests.lab.machine import run
from tests.lab.prometheus import Prometheus

pytestmark = pytest.mark.lab


def test_the_rules_are_well_formed_and_each_fires_when_it_should_and_not_when_not():
    run(["promtool", "check", "rules", monitored.RULES])
    done = run(["promtool", "test", "rules", monitored.RULES.with_suffix(".test.yml")], check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def wrong_queries(exposition):
    asked = [*monitored.queries(), *(rule["expr"] for rule in monitored.alerts())]
    return [wrong for query in asked for wrong in monitored.unserved(query, exposition)]


def as_grafana_asks(query):
    """With all clusters chosen, and a rate over the last seconds."""
    return query.replace("$__rate_interval", "10s").replace("$cluster", ".*")


def undrawn(prometheus):
    """Queries of the dashboard that draw nothing, and labels of legends that nothing has."""
    wrong = []
    for query, legend in monitored.drawn():
        series = prometheus.drawn(as_grafana_asks(query))
        if not series:
            wrong.append(f"nothing: {query}")
        named = set(monitored.LEGEND.findall(legend))
        wrong += [f"{sorted(named - one.keys())}: {query}" for one in series if named - one.keys()]
    return wrong


@pytest.mark.timeout(300)
def test_alerts_fire_and_resolve_and_every_panel_is_drawn_through_a_failover(lab):
    w = watched(lab, failover={"mode": "manual", "cooldown": "0s"})
    with Prometheus(lab.monitor) as prometheus:
        fires_and_resolves(w, prometheus.firing)
        # Through all of that: a failover, a standby that is lost and one that comes back.
        assert undrawn(prometheus) == []


def fires_and_resolves(w, fires):
    def wait_for(alert: str, *, firing: bool = True) -> None:
        words = f"{alert} {'fires' if firing else 'is resolved'}"
        w.wait(lambda: (alert in fires()) == firing, 60, words)

    # In mode manual it is not ready by itself; nothing else is wrong.
    w.wait(lambda: fires() <= {"FailoverdNotReady"}, 60, "nothing else is wrong")
    before = w.lab.monitor.metrics()
    w.pg1.sigstop_all()
    wait_for("FailoverdPrimarySuspect")
    assert "FailoverdFailoverHappened" not in fires()
    w.lab.monitor.failoverd("failover", "--yes")
    w.wait_until_failed_over()
    wait_for("FailoverdFailoverHappened")
    wait_for("FailoverdPrimarySuspect", firing=False)
    # Nobody is left to take over from pg2.
    wait_for("FailoverdNoStandby")
    after = w.lab.monitor.metrics()
    run(["promtool", "check", "metrics"], input=after)
    assert wrong_queries(before + after) == []
    w.pg1.start()
    wait_for("FailoverdNoStandby", firing=False)
    wait_for("FailoverdFailoverHappened", firing=False)
    w.daemon.kill()
    wait_for("FailoverdAbsent")
    w.restart()
    wait_for("FailoverdAbsent", firing=False)
