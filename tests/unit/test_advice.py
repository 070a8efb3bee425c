"""What a human is told to type is right for the way the server is run."""

from __future__ import annotations

import pytest

from failoverd.core.model import NodeName
from failoverd.daemon.nodes import nodes_of
from failoverd.effect.fence.by_hand import advice, commands
from tests.unit.test_config_mistakes import SHORT, load


def node(tmp_path, postgres="", ssh=""):
    file = tmp_path / "config.yaml"
    text = SHORT.replace("data_dir: /data", f"data_dir: /data\n{postgres}")
    file.write_text(text.replace("known_hosts: /known", f"known_hosts: /known{ssh}"))
    cluster = load(file, check_files=False).clusters["main"]
    return nodes_of("main", cluster)[NodeName("pg1")]


@pytest.mark.parametrize(
    ("postgres", "stop"),
    [
        ("", "/usr/bin/pg_ctl -D /data stop -m immediate"),
        ("      service: postgresql-17", "sudo systemctl stop postgresql-17"),
        ("      debian_cluster: 15/main", "sudo pg_ctlcluster 15 main stop -m immediate"),
        ("      stop_command: [/opt/pg, stop, it now]", "/opt/pg stop 'it now'"),
        (
            "      become: sudo -n -u postgres",
            "sudo -n -u postgres /usr/bin/pg_ctl -D /data stop -m immediate",
        ),
    ],
)
def test_it_is_stopped_by_hand_as_it_is_run(tmp_path, postgres, stop):
    assert commands(node(tmp_path, postgres))[1] == stop


def test_the_guard_comes_first_and_whoever_may_lay_it_is_named(tmp_path):
    told = advice(node(tmp_path))
    assert "as the owner of the data directory: touch /data/standby.signal; " in told
    become = advice(node(tmp_path, "      become: sudo -n -u postgres"))
    assert "(on its host: sudo -n -u postgres touch /data/standby.signal; " in become
    assert become.endswith("then: failoverd fenced pg1 --reason 'why you are sure'")


def test_what_makes_the_user_the_owner_stands_before_everything_or_for_root_before_a_few(tmp_path):
    become = "      become: sudo -n -u postgres"
    assert node(tmp_path, become).arguments["become"] == ""
    assert node(tmp_path, become, ", user: root").arguments["become"] == "sudo -n -u postgres"
