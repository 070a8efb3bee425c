"""Each act is kept with who asked for it, granted or not."""

from __future__ import annotations

import json
import stat

from failoverd.core.events import OperatorPause, OperatorVouches
from failoverd.core.model import NodeName, WallTime
from failoverd.daemon import audit as audit_module
from failoverd.daemon.audit import Audit

AT = WallTime(1_700_000_000.0)


def kept(tmp_path):
    return [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]


def test_who_asked_for_what_and_what_came_of_it_is_kept(tmp_path):
    audit = Audit(tmp_path)
    audit.command("main", OperatorVouches("alice", NodeName("pg1"), "unplugged"), None, AT)
    audit.command("main", OperatorPause("bob"), "paused already", AT)
    audit.note("SIGHUP", "reload", None, AT)
    audit.close()
    vouched, paused, reloaded = kept(tmp_path)
    assert (vouched["by"], vouched["act"], vouched["refused"]) == ("alice", "vouches", None)
    assert vouched["arguments"] == {"node": "pg1", "reason": "unplugged"}
    assert vouched["at"] == "2023-11-14T22:13:20.000+00:00"
    assert (paused["by"], paused["refused"]) == ("bob", "paused already")
    assert reloaded["by"] == "SIGHUP"


def test_it_is_for_its_owner_alone_and_a_restart_goes_on_with_it(tmp_path):
    for _ in range(2):
        audit = Audit(tmp_path)
        audit.note("alice", "reload", None, AT)
        audit.close()
    assert len(kept(tmp_path)) == 2
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o600


def test_it_does_not_grow_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(audit_module, "LARGEST_BYTES", 1000)
    audit = Audit(tmp_path)
    for _ in range(100):
        audit.note("alice", "reload", None, AT)
    audit.close()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 3000
