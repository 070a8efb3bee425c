"""What is written is what holds, for the file, for each node and for the policy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from failoverd.config.daemon import Daemon
from failoverd.config.load import load, schema
from failoverd.config.models import Cluster, Configuration, Node
from failoverd.config.nodes import node_settings
from failoverd.config.page import page
from failoverd.config.policy import to_policy
from failoverd.config.quantities import (
    duration,
    parse_duration,
    parse_size,
    show_duration,
    show_size,
    size,
)
from failoverd.config.secrets import SecretMissing, password, reveal
from failoverd.config.section import Secret, Section
from failoverd.core.model import NodeName
from failoverd.core.policy import DeadManPolicy, Policy
from failoverd.daemon.nodes import nodes_of
from failoverd.effect.rung import DeadManExpiry, Stop

ROOT = Path(__file__).parents[2]

SHORT = """\
clusters:
  main:
    nodes:
      pg1: {host: 192.0.2.11}
      pg2: {host: 192.0.2.12}
    postgres:
      bin_dir: /usr/bin
      data_dir: /data
    ssh: {key_file: /key, known_hosts: /known}
"""


def write(tmp_path, text):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return file


def test_the_short_form_is_enough(tmp_path):
    configuration = load(write(tmp_path, SHORT), check_files=False)
    assert list(configuration.clusters["main"].nodes) == ["pg1", "pg2"]


def test_the_example_is_valid_and_shows_every_default():
    example = load(ROOT / "config.yaml", check_files=False)
    assert example.daemon == Daemon()
    cluster = example.clusters["main"]
    written = {"nodes", "postgres", "sql", "ssh"}
    for name, field in Cluster.model_fields.items():
        if name not in written:
            assert getattr(cluster, name) == field.get_default(call_default_factory=True), name
    for section in ("postgres", "sql", "ssh"):
        for key, field in type(getattr(cluster, section)).model_fields.items():
            value = getattr(getattr(cluster, section), key)
            assert value == field.get_default() or field.get_default() is None, (section, key)


def test_the_example_is_taken_where_its_files_are_there(tmp_path):
    text = (ROOT / "config.yaml").read_text()
    for name in ("password", "id_ed25519", "known_hosts"):
        (tmp_path / name).write_text("something")
        (tmp_path / name).chmod(0o600)
    taken = load(write(tmp_path, text.replace("/etc/failoverd", str(tmp_path))))
    assert set(taken.clusters) == {"main"}


@pytest.mark.parametrize(
    ("place", "model"),
    [
        ((), Configuration),
        (("clusters", "main"), Cluster),
        (("daemon",), Daemon),
        (("clusters", "main", "nodes", "pg2"), Node),
        *(
            (("clusters", "main", key), field.annotation)
            for key, field in Cluster.model_fields.items()
            if issubclass(field.annotation if isinstance(field.annotation, type) else str, Section)
        ),
        *((("daemon", key), Daemon.model_fields[key].annotation) for key in ("log", "leadership")),
    ],
)
def test_the_example_has_each_key_in_its_own_section(place, model):
    text = (ROOT / "config.yaml").read_text()
    section = yaml.safe_load(text)
    for part in place:
        section = section[part]
    in_comments = set(re.findall(r"^ *# (\w+):", text, re.MULTILINE))
    assert set(model.model_fields) - set(section) <= in_comments


def test_the_example_has_every_key_that_there_is():
    text = (ROOT / "config.yaml").read_text()
    definitions = schema()["$defs"]
    keys = {key for part in definitions.values() for key in part.get("properties", {})}
    missing = {key for key in keys if not re.search(rf"\b{key}:", text)}
    assert missing == set()


def test_the_page_on_configuration_is_made_from_the_models():
    assert (ROOT / "docs" / "configuration.md").read_text() == page(), "run: make docs"


def test_a_node_may_differ_from_its_cluster(tmp_path):
    text = SHORT.replace("12}", "12, priority: never, postgres: {port: 5433}}")
    cluster = load(write(tmp_path, text), check_files=False).clusters["main"]
    assert node_settings("main", cluster, "pg1").postgres.port == 5432
    assert node_settings("main", cluster, "pg2").postgres.port == 5433
    assert str(node_settings("main", cluster, "pg2").postgres.data_dir) == "/data"
    policy = to_policy("main", cluster)
    assert policy.nodes[NodeName("pg2")].never
    assert policy.nodes[NodeName("pg2")].port == 5433


def test_the_core_has_the_same_defaults_as_the_file(tmp_path):
    policy = to_policy("main", load(write(tmp_path, SHORT), check_files=False).clusters["main"])
    assert policy == Policy(policy.nodes)


@pytest.mark.parametrize(
    ("rung", "wanted"),
    [
        ("{dead_man: {}}", DeadManPolicy(5.0)),
        ("{dead_man: {ttl: 8s, standbys: [pg2]}}", DeadManPolicy(8.0, frozenset({"pg2"}))),
    ],
)
def test_a_dead_man_is_part_of_the_ladder_and_of_the_policy(tmp_path, rung, wanted):
    text = SHORT + f"    fencing: {{ladder: [stop, {rung}]}}\n"
    cluster = load(write(tmp_path, text), check_files=False).clusters["main"]
    assert to_policy("main", cluster).dead_man == wanted
    ladder = nodes_of("main", cluster)[NodeName("pg1")].rungs
    assert ladder == (Stop(), DeadManExpiry(wanted.ttl_s))


def test_a_password_is_read_when_it_is_used_and_never_shown(tmp_path, monkeypatch):
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    text = SHORT + f"    sql: {{password_file: {file}}}\n"
    configuration = load(write(tmp_path, text), check_files=False)
    sql = configuration.clusters["main"].sql
    assert password(sql) == "hunter2"
    assert "hunter2" not in repr(configuration)
    file.unlink()
    with pytest.raises(SecretMissing, match="cannot be read"):
        password(sql)
    monkeypatch.setenv("THE_PASSWORD", "hunter3")
    text = SHORT + "    sql: {password: {env: THE_PASSWORD}}\n"
    assert (
        password(load(write(tmp_path, text), check_files=False).clusters["main"].sql) == "hunter3"
    )


def test_a_secret_that_is_not_there_says_from_where_and_never_what(tmp_path, monkeypatch):
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(SecretMissing, match="no secret in its first line"):
        reveal(Secret(file=empty))
    monkeypatch.delenv("THE_PASSWORD", raising=False)
    with pytest.raises(SecretMissing, match="THE_PASSWORD is not set"):
        reveal(Secret(env="THE_PASSWORD"))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(SecretMissing, match="CREDENTIALS_DIRECTORY"):
        reveal(Secret(credential="password"))
    (tmp_path / "password").write_text("hunter4\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert reveal(Secret(credential="password")) == "hunter4"


def test_a_password_of_a_node_takes_the_place_of_the_clusters_wherever_that_is_kept(tmp_path):
    text = SHORT.replace("12}", "12, sql: {password: {env: OTHER}}}")
    text += "    sql: {user: watcher, password_file: /password}\n"
    cluster = load(write(tmp_path, text), check_files=False).clusters["main"]
    own = node_settings("main", cluster, "pg2").sql
    assert (own.user, own.password_file, own.password) == ("watcher", None, Secret(env="OTHER"))
    assert node_settings("main", cluster, "pg1").sql == cluster.sql


def test_what_a_node_does_not_write_is_the_clusters_even_where_the_cluster_has_no_default(tmp_path):
    text = SHORT.replace("/data", "/data\n      port: 6000")
    text = text.replace("12}", "12, transport: local, postgres: {service: pg}}")
    cluster = load(write(tmp_path, text), check_files=False).clusters["main"]
    pg1, pg2 = (node_settings("main", cluster, name) for name in ("pg1", "pg2"))
    assert (pg1.postgres.port, pg1.postgres.service, pg1.transport) == (6000, "", "ssh")
    assert (pg2.postgres.port, pg2.postgres.service, pg2.transport) == (6000, "pg", "local")


def test_a_node_alone_may_give_the_default_back(tmp_path):
    text = SHORT.replace("/data", "/data\n      port: 6000").replace(
        "12}", "12, postgres: {port: 5432}}"
    )
    cluster = load(write(tmp_path, text), check_files=False).clusters["main"]
    assert node_settings("main", cluster, "pg2").postgres.port == 5432


@given(st.integers(0, 8000), st.sampled_from(["ms", "s", "min", "h"]))
def test_durations_read_as_they_are_written(number, unit):
    seconds = {"ms": 0.001, "s": 1, "min": 60, "h": 3600}[unit]
    assert parse_duration(f"{number}{unit}") == pytest.approx(number * seconds)


@given(st.integers(0, 10**6), st.sampled_from(["B", "kB", "MB", "GB"]))
def test_sizes_are_powers_of_1024_as_postgresql_has_them(number, unit):
    power = {"B": 0, "kB": 1, "MB": 2, "GB": 3}[unit]
    assert parse_size(f"{number}{unit}") == number * 1024**power


@given(st.integers(1, 10**9))
def test_what_is_shown_as_a_quantity_reads_as_the_same(number):
    assert duration(show_duration(number / 1000)) == pytest.approx(number / 1000)
    assert size(show_size(number)) == number


@given(st.text())
def test_whatever_is_written_is_a_quantity_or_a_told_mistake(text):
    for read in (duration, size):
        try:
            read(text)
        except ValueError as error:
            assert "; write a" in str(error)


def test_the_schema_describes_every_key_and_shows_defaults_as_they_are_written():
    definitions = schema()["$defs"]
    for name, part in definitions.items():
        for key, field in part.get("properties", {}).items():
            assert field.get("description") or "$ref" in field, (name, key)
    assert definitions["Detection"]["properties"]["interval"]["default"] == "1s"
    assert definitions["Failover"]["properties"]["max_data_loss"]["default"] == "16MB"
    assert definitions["Node"]["properties"]["postgres"]["$ref"] == "#/$defs/Postgres"
