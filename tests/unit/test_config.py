"""A mistake in the configuration is told with its line, and with what to write instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failoverd.config.load import load, schema
from failoverd.config.messages import ConfigurationErrors
from failoverd.config.models import Cluster, Configuration, Daemon
from failoverd.config.nodes import node_settings
from failoverd.config.page import page
from failoverd.config.policy import to_policy
from failoverd.config.quantities import duration, parse_duration, parse_size, size
from failoverd.config.secrets import SecretMissing, password
from failoverd.core.model import NodeName
from failoverd.core.policy import Policy

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


def mistakes(tmp_path, text):
    with pytest.raises(ConfigurationErrors) as caught:
        load(write(tmp_path, text), check_files=False)
    return [str(message).removeprefix(f"{tmp_path}/") for message in caught.value.messages]


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


def test_the_example_has_every_key_that_there_is():
    text = (ROOT / "config.yaml").read_text()
    definitions = schema()["$defs"]
    keys = {key for part in definitions.values() for key in part.get("properties", {})}
    missing = {key for key in keys if not re.search(rf"\b{key}:", text)}
    assert missing == set()


def test_the_page_on_configuration_is_made_from_the_models():
    assert (ROOT / "docs" / "configuration.md").read_text() == page(), "run: make docs"


def test_every_mistake_is_told_at_once_with_its_line_and_what_to_write(tmp_path):
    text = SHORT + (
        "    detection: {intervall: 1s, timeout: fast, failures: 1}\n"
        "    failover:\n"
        "      max_data_loss: 16 potatoes\n"
        "      mode: auto\n"
        "    rejoin: auto\n"
    )
    assert mistakes(tmp_path, text) == [
        "config.yaml:10:17: clusters.main.detection.intervall: there is no such key;"
        " did you mean interval?",
        "config.yaml:10:32: clusters.main.detection.timeout: write a duration with its unit,"
        " such as 250ms, 5s, 10min or 1h (got 'fast')",
        "config.yaml:10:47: clusters.main.detection.failures: input should be greater than or"
        " equal to 2 (got 1)",
        "config.yaml:12:7: clusters.main.failover.max_data_loss: write a size with its unit,"
        " such as 0, 64kB, 16MB or 1GB (got '16 potatoes')",
        "config.yaml:13:7: clusters.main.failover.mode: input should be 'automatic', 'manual' or"
        " 'observe' (got 'auto')",
        "config.yaml:14:5: clusters.main.rejoin: this version has only manual (got 'auto')",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file is empty: write clusters:"),
        ("clusters:\n\tmain: 1\n", "config.yaml:2:1: this is not YAML"),
        ("- a\n", "write keys at the top: clusters:"),
        (SHORT + "    detection: {failures: 010}\n", "valid integer (got '010')"),
        (SHORT + "    detection: {fast_path: on}\n", "got on; write true"),
        (SHORT + "    detection: {interval: 1:30}\n", "write a duration with its unit"),
        (SHORT + "    rejoin: manual\n    rejoin: manual\n", "is written twice (first on line 10)"),
        (SHORT.replace("bin_dir", "bindir"), "did you mean bin_dir?"),
        (SHORT.replace("192.0.2.12", "192.0.2.11"), "is the address of main.pg1, too"),
        (SHORT.replace("      pg2: {host: 192.0.2.12}\n", ""), "at least 2 items"),
        (SHORT.replace("known_hosts: /known", ""), "ssh.known_hosts: is missing"),
        (SHORT.replace("/data", "data"), "write an absolute path"),
        (SHORT.replace("pg2:", "PG 2:"), "pattern"),
        (SHORT + "    fencing: {ladder: [stop, agent]}\n", "this version has only the rung stop"),
        (SHORT + "    redirect: [haproxy]\n", "sends applications nowhere"),
        (SHORT + "daemon: {leadership: {kind: etcd}}\n", "this version has only none"),
        (SHORT.replace("12}", "12, postgres: {prot: 1}}"), "nodes.pg2.postgres.prot: there is no"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(tmp_path, text, told):
    found = mistakes(tmp_path, text)
    assert any(told in one for one in found), found


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(ConfigurationErrors, match=r"no\.yaml: cannot be read: No such file"):
        load(tmp_path / "no.yaml")


def test_secrets_that_others_may_read_are_refused_with_the_command_that_mends_it(tmp_path):
    key, known = tmp_path / "key", tmp_path / "known"
    key.write_text("secret")
    key.chmod(0o644)
    known.write_text("")
    text = SHORT.replace("/key", str(key)).replace("/known", str(known))
    with pytest.raises(ConfigurationErrors, match=f"chmod 600 {key}"):
        load(write(tmp_path, text))
    key.chmod(0o600)
    load(write(tmp_path, text))


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


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "min", "h"]))
def test_durations_read_as_they_are_written(number, unit):
    seconds = {"ms": 0.001, "s": 1, "min": 60, "h": 3600}[unit]
    assert parse_duration(f"{number}{unit}") == pytest.approx(number * seconds)


@given(st.integers(0, 10**6), st.sampled_from(["B", "kB", "MB", "GB"]))
def test_sizes_are_powers_of_1024_as_postgresql_has_them(number, unit):
    power = {"B": 0, "kB": 1, "MB": 2, "GB": 3}[unit]
    assert parse_size(f"{number}{unit}") == number * 1024**power


@given(st.text())
def test_whatever_is_written_is_a_configuration_or_a_told_mistake(text):
    for read in (duration, size):
        try:
            read(text)
        except ValueError as error:
            assert "write a" in str(error)


def test_the_schema_describes_every_key():
    for name, part in schema()["$defs"].items():
        for key, field in part.get("properties", {}).items():
            has = field.get("description") or "$ref" in field or "default" in field
            assert has, (name, key)
    assert Configuration.model_json_schema()
