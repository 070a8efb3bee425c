"""An application that asks a name server where the primary is, during a real failover."""

from __future__ import annotations

import pytest

from tests.lab.host import UNPRIVILEGED, Host, wait_until_listening
from tests.lab.ways import Way, coming_by, wait_for_new_primary, wait_for_timeline, went_on

pytestmark = pytest.mark.lab

ADDRESS, PORT = "192.0.2.53", 53
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I="
NAMED = f"""
options {{ directory "/var/cache/named"; listen-on {{ any; }}; recursion no; pid-file none; }};
key "failoverd" {{ algorithm hmac-sha256; secret "{SECRET}"; }};
zone "db.test" {{
  type primary; file "/var/cache/named/db.test";
  update-policy {{ grant failoverd name primary.db.test. A AAAA; }};
}};
"""
ZONE = """$TTL 60
@ IN SOA ns.db.test. admin.db.test. 1 60 60 60 5
@ IN NS ns
ns IN A 192.0.2.53
"""
TARGET = {
    "dns": {
        "server": ADDRESS,
        "zone": "db.test",
        "record": "primary",
        "ttl": 1,
        "key": {"name": "failoverd", "secret": {"file": "/etc/failoverd/tsig"}},
    }
}


class NameServer(Host):
    def __init__(self, lab):
        super().__init__("ns", ADDRESS, lab.directory / "ns")
        lab.keep(self)
        lab.network.connect(self)
        self.run(["install", "-d", "-m", "700", "/var/cache/named"])
        self.run(["sh", "-c", "cat >/etc/named.conf"], input=NAMED)
        self.run(["sh", "-c", "cat >/var/cache/named/db.test"], input=ZONE)
        self.run(["named", "-c", "/etc/named.conf"])
        wait_until_listening(self, PORT)


def by_name(lab, *, secret=SECRET, **sections):
    def prepare(lab):
        NameServer(lab)
        lab.monitor.private_file("tsig", secret + "\n")
        lab.app.run(["sh", "-c", f"echo nameserver {ADDRESS} >/etc/resolv.conf"])
        lab.app.run(["sh", "-c", "echo hosts: files dns >/etc/nsswitch.conf"])

    return coming_by(lab, Way("name", "primary.db.test"), [TARGET], prepare=prepare, **sections)


def test_an_application_that_goes_by_name_goes_on_with_the_new_primary(lab):
    w = by_name(lab)
    w.pg1.kill9_postmaster()
    wait_for_timeline(w.ledger, 2, w)
    wait_for_new_primary(w)
    went_on(w)
    report = lab.monitor.failoverd("report").stdout
    assert "[x] Applications were sent over: dns: primary.db.test is 192.0.2.12" in report
    assert SECRET not in report + w.daemon.log_text
    asked = lab.app.run(["getent", "ahostsv4", "primary.db.test"], user=UNPRIVILEGED).stdout
    assert asked.startswith("192.0.2.12 ")
