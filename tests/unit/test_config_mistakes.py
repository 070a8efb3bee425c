"""A mistake in the configuration is told with its line, and with what to write instead."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from failoverd.config.load import load
from failoverd.config.messages import ConfigurationErrors
from failoverd.config.models import Configuration
from tests.unit.test_config import SHORT

SECRET = "hunter2"


def told(file, **options):
    with pytest.raises(ConfigurationErrors) as caught:
        load(file, **options)
    return [str(message).removeprefix(f"{file.parent}/") for message in caught.value.messages]


def mistakes(tmp_path, text):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return told(file, check_files=False)


def test_every_mistake_is_told_at_once_with_its_line_and_what_to_write(tmp_path):
    text = SHORT.replace("192.0.2.12", "192.0.2.11") + (
        "    detection: {intervall: 1s, timeout: fast, failures: 1}\n"
        "    failover:\n"
        "      max_data_loss: 16 potatoes\n"
        "      mode: automatc\n"
        "      salvage: yes\n"
        "    rejoin: never\n"
    )
    assert mistakes(tmp_path, text) == [
        "config.yaml:5:13: clusters.main.nodes.pg2.host: is the address of main.pg1, too"
        " (got 192.0.2.11:5432); write another host or postgres: {port: N}",
        "config.yaml:10:17: clusters.main.detection.intervall: there is no such key;"
        " did you mean interval?",
        "config.yaml:10:32: clusters.main.detection.timeout: is no duration (got 'fast');"
        " write a number with its unit, such as 250ms, 5s, 10min or 1h",
        "config.yaml:10:47: clusters.main.detection.failures: is too small (got 1);"
        " write 2 or more",
        "config.yaml:12:7: clusters.main.failover.max_data_loss: is no size (got '16 potatoes');"
        " write a number with its unit, such as 64kB, 16MB, 1GB, or 0",
        "config.yaml:13:7: clusters.main.failover.mode: is not one of the words"
        " (got 'automatc'); write automatic, manual or observe (did you mean automatic?)",
        "config.yaml:14:7: clusters.main.failover.salvage: is neither true nor false"
        " (got 'yes'); write true",
        "config.yaml:15:5: clusters.main.rejoin: is not one of the words (got 'never');"
        " write auto or manual",
    ]


def way(targets):
    return f"    redirect: [{targets}]\n"


ETCD = "kind: etcd, endpoints: ['https://192.0.2.21:2379']"


def led(words):
    return f"daemon: {{leadership: {{{words}}}}}\n"


def ladder(rung):
    return f"    fencing: {{ladder: [stop, {rung}]}}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty; write clusters:"),
        ("# only a comment\n", "the file is empty"),
        ("- a\n", "must have keys at the top; write clusters:"),
        ("clusters: {}\n", "are too few (got keys); write at least 1"),
        (SHORT + "    detection:\n", ".detection: has no value"),
        (SHORT + "    detection: {fast_path: on}\n", "(got 'on'); write true"),
        (SHORT + "    detection: {fast_path: no}\n", "(got 'no'); write false"),
        (SHORT + "    detection: {fast_path: 'true'}\n", "is neither true nor false"),
        (SHORT + "    detection: {failures: 010}\n", "write 10, without a zero before it"),
        (SHORT + "    detection: {failures: '3'}\n", "write 3, without quotes"),
        (SHORT + "    detection: {failures: 0x1F}\n", "is no whole number (got '0x1F')"),
        (SHORT + "    detection: {failures: .inf}\n", "is no whole number"),
        (SHORT + "    detection: {interval: 1:30}\n", "is no duration (got '1:30')"),
        (SHORT + "    detection: {interval: 1.5}\n", "is no duration (got 1.5)"),
        (SHORT + "    detection: {interval: 0s}\n", "is too short (got '0s')"),
        (SHORT + "    detection: {timeout: 9999d}\n", "is too long"),
        (SHORT + "    failover: {max_data_loss: 16}\n", "is no size (got 16)"),
        (SHORT + "    failover: {max_data_loss: 16mb}\n", "is no size (got '16mb')"),
        (SHORT + "    rejoin: manual\n    rejoin: manual\n", "is written twice (first on line 10)"),
        (SHORT.replace("bin_dir", "bindir"), "did you mean bin_dir?"),
        (SHORT + "    detection: {xyzzy: 1}\n", "there are busy_limit, failures, fast_path,"),
        (SHORT.replace("/data", "/data\n      become: {a: 1}"), "is no list (got keys)"),
        (SHORT.replace("      pg2: {host: 192.0.2.12}\n", ""), "nodes: are too few"),
        (SHORT.replace("host: 192.0.2.12", "priority: 3"), "nodes.pg2.host: is missing"),
        (SHORT.replace("192.0.2.12", "192.0.2.12:5433"), "has a port (got '192.0.2.12:5433')"),
        (SHORT.replace("192.0.2.12", "'[::1]'"), "is no address (got '[::1]')"),
        (SHORT.replace("192.0.2.12", "10"), "is no text (got 10); write it in quotes"),
        (SHORT.replace("pg2:", "PG 2:"), "nodes.PG 2: is no name"),
        (SHORT.replace("12}", "12, priority: high}"), "write a whole number, or never"),
        (SHORT.replace("12}", "12, priority: -1}"), "write a number from 0 to 1000000, or never"),
        (SHORT.replace("12}", "12, postgres: {prot: 1}}"), "nodes.pg2.postgres.prot: there is no"),
        (SHORT.replace("known_hosts: /known", ""), "ssh.known_hosts: is missing"),
        (SHORT.replace("      bin_dir: /usr/bin\n", ""), "postgres.bin_dir: is missing"),
        (SHORT.replace("/data", "data"), "is no absolute path (got 'data')"),
        (SHORT + ladder("agent"), "ladder.1: is no rung (got 'agent'); write stop, {agent:"),
        (SHORT + ladder("{}"), "ladder.1: must be one rung (got keys); write stop, {agent:"),
        (SHORT + ladder("3"), "ladder.1: is no rung (got 3); write stop, {agent:"),
        (SHORT + ladder("quorum"), "ladder.1: is not available before it has been simulated"),
        (SHORT + ladder("{dead_man: {ttl: 1s}}"), "ttl: is too short (got '1s'); write 3s to"),
        (SHORT + ladder("{dead_man: {ttl: 1min}}"), "ttl: is too long (got '1min'); write 3s to"),
        (SHORT + ladder("{dead_man: {ttl: 5}}"), "ladder.1.dead_man.ttl: is no duration (got 5)"),
        (SHORT + ladder("{dead_man: {tll: 5s}}"), "tll: there is no such key; did you mean ttl?"),
        (SHORT + ladder("{dead_man: {standbys: []}}"), "dead_man.standbys: are too few"),
        (SHORT + ladder("{dead_man: {standbys: [pg7]}}"),
         "standbys: there is no node of that name (got 'pg7'); write some of pg1, pg2"),
        (SHORT + ladder("{dead_man: {}}, {command: {argv: [/bin/true]}}"),
         "ladder.1: must be the last rung"),
        (SHORT + ladder("{dead_man: {}}").replace("stop, ", ""),
         "ladder.0: is no fence for a host that answers (got a ladder without stop); write stop"),
        (SHORT.replace("12}", "12, priority: never}") + ladder("{dead_man: {}}"),
         "ladder.1: has no standby that could take over"),
        (SHORT + ladder("{agnt: {path: /a}}"), "ladder.1.agnt: there is no such key; did you mean"),
        (SHORT + ladder("{agent: {pth: /a}}"), "pth: there is no such key; did you mean path"),
        (SHORT + ladder("{agent: {path: a}}"), "ladder.1.agent.path: is no absolute path"),
        (SHORT + ladder("{agent: {path: /a, options: {password: S3cret}}}"),
         "options: has the secret password; write secrets: {password: {file: /path}}"),
        (SHORT + ladder("{agent: {path: /a, secrets: {password: S3cret}}}"),
         "secrets.password: must say where the password is kept, never what it is; write {file:"),
        (SHORT + ladder("{agent: {path: /a, options: {action: reboot}}}"),
         "options.action: is no option; write its name as `metadata` has it"),
        (SHORT + ladder("{command: {argv: []}}"), "ladder.1.command.argv: are too few"),
        (SHORT + "    fencing: {ladder: []}\n", "must have a rung (got []); write [stop]"),
        (SHORT + "    fencing: {require: best_effort}\n", "is not available in this version"),
        (SHORT + "    synchronous: maybe\n", "managed"),
        (SHORT + "    redirect: [haproxy]\n", "is no target (got 'haproxy'); write {haproxy:"),
        (SHORT + "    redirect: haproxy\n",
         "is no list (got 'haproxy'); write one, such as [a, b]"),
        (SHORT + way("{}"), "redirect.0: must be one target (got keys); write {haproxy:"),
        (SHORT + way("{haproxy: {}}"), "redirect.0.haproxy.backend: is missing"),
        (SHORT + way("{haproxy: {backend: a}}"),
         "must be reached in one way (got keys); write socket"),
        (SHORT + way("{haproxy: {backend: a b, host: h}}"), "backend: is no name in HAProxy"),
        (SHORT + way("{haproxy: {backend: a, host: h, servers: {pg3: x}}}"),
         "haproxy.servers.pg3: is no node of this cluster; write pg1 or pg2"),
        (SHORT.replace("192.0.2.12", "db2") + way("{haproxy: {backend: a, host: h, server: x}}"),
         "redirect.0.haproxy.addresses: has no IP address for pg2 (got db2)"),
        (SHORT + way("{haproxy: {backend: a, host: h}}, {haproxy: {backend: b, host: h}}"),
         "redirect.1.name: is called like another (got haproxy); write a name for each"),
        (SHORT + way("{pgbouncer: {host: h, file: /f, databases: {a: password=x}}}"),
         "databases has a password"),
        (SHORT + way("{pgbouncer: {host: h, file: /f, databases: {a: host=x}}}"),
         "databases has a host or a port"),
        (SHORT + way("{pgbouncer: {host: h, file: /f, databases: {}}}"), "databases: are too few"),
        (SHORT + way("{pgbouncer: {host: h, file: /f, databases: {a: ''}, password: S3cret}}"),
         "must say where the password is kept, never what it is"),
        (SHORT + way("{virtual_ip: {address: 192.0.2.100, interface: eth0}}"),
         "is no IPv4 address with its prefix (got '192.0.2.100')"),
        (SHORT + way("{virtual_ip: {address: 'fd00::1/64', interface: eth0}}"),
         "is no IPv4 address"),
        (SHORT + way("{virtual_ip: {address: 192.0.2.100/24, interface: 'a b'}}"),
         "is no interface"),
        (SHORT + way("{dns: {server: h, zone: z, record: r, key: {name: k}}}"),
         "secret: is missing"),
        (SHORT + way("{command: {argv: []}}"), "redirect.0.command.argv: are too few"),
        (SHORT + led("kind: etcd"), "leadership: has no endpoints"),
        (SHORT + led("kind: consul"), "leadership.kind"),
        (SHORT + led("ttl: 5s"), "does nothing with kind: none"),
        (SHORT + led("kind: etcd, endpoints: ['https://a:2379', b]"), "is no address of etcd"),
        (SHORT + led("kind: etcd, endpoints: ['http://192.0.2.21:2379']"),
         "would be spoken to in clear (got http://192.0.2.21:2379)"),
        (SHORT + led(f"{ETCD}, ttl: 3s"), "is too short (got 3s)"),
        (SHORT + led(f"{ETCD}, ttl: 1min"), "is too long (got 60s)"),
        (SHORT + led(f"{ETCD}, ttl: 4500ms"), "has a fraction of a second (got 4.5s)"),
        (SHORT + led(f"{ETCD}, user: failoverd"), "has no password_file beside it"),
        (SHORT + led(f"{ETCD}, cert_file: /etc/hostname"), "has no key_file beside it"),
        (SHORT + led(f"{ETCD}, prefix: failoverd"), "is no prefix of keys"),
        (SHORT + led("kind: etcd, endpoints: ['http://127.0.0.1:2379'], ca_file: /etc/passwd"),
         "does nothing with http://"),
        (SHORT + "daemon: {listen: '127.0.0.1:99999'}\n", "is no address with a port"),
        (SHORT + f"daemon: {{control_socket: /{'a' * 107}}}\n", "is too long for a Unix socket"),
        (SHORT + "    sql: {password: {env: A, file: /b}}\n", "must name one place"),
        (SHORT + "    sql: {password: {}}\n", "must name one place"),
        (SHORT + "    sql: {password_file: /b, password: {env: A}}\n", "has password and password"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(tmp_path, text, said):
    found = mistakes(tmp_path, text)
    assert len(found) == 1, found
    assert said in found[0]
    assert "S3cret" not in found[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clusters:\n\tmain: 1\n", "config.yaml:2:1: this is not YAML: found character '\\t'"),
        ("clusters: {\n", "config.yaml:2:1: this is not YAML"),
        ("clusters: 1\n---\nclusters: 2\n", "config.yaml:2:1: this is not YAML: a second document"),
        ("clusters: *main\n", "config.yaml:1:11: this is not YAML: an alias (*)"),
        ("a:\n  b: \0\n", "config.yaml:2:6: has the character #x0000"),
        ("[" * 5000, "is nested too deeply"),
        ("clusters: &x [*x]\n", "clusters.0: contains itself"),
        ("? [a, b]\n: 1\n", "config.yaml:1:3: has a key that is a list"),
        ("<<: {a: 1}\n", "merges keys"),
        ("clusters: !!python/object:os.system x\n", "has a tag (!)"),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\n"
         + "".join(f"{k}: &{k} [{','.join([f'*{j}'] * 10)}]\n"
                   for j, k in zip("abcdef", "bcdefg", strict=True)),
         "has more than 100000 values"),
    ],
)  # fmt: skip
def test_what_is_no_yaml_for_us_is_told_with_its_place(tmp_path, text, said):
    found = mistakes(tmp_path, text)
    assert any(said in one for one in found), found


def test_a_file_in_another_encoding_is_told_with_the_first_line_that_shows_it(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_bytes(b"clusters:\n  m\xe4in: 1\n")
    assert told(file) == ["config.yaml:2:4: is not UTF-8 here; write the file in UTF-8"]


def test_words_that_other_readers_of_yaml_take_for_truth_values_are_good_names(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(SHORT.replace("main:", "no:").replace("pg1:", "on:").replace("pg2:", "int:"))
    configuration = load(file, check_files=False)
    assert list(configuration.clusters) == ["no"]
    assert list(configuration.clusters["no"].nodes) == ["on", "int"]


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    assert told(tmp_path / "no.yaml") == ["no.yaml: cannot be read: No such file or directory"]


@pytest.mark.parametrize(
    "text",
    [
        SHORT + f"    sql: {{password: {SECRET}}}\n",
        SHORT + f"    sql: {{password: [{SECRET}]}}\n",
        SHORT + f"    sql: {{password: {{file: {SECRET}}}}}\n",
        SHORT + f"    sql: {{password: {{literal: {SECRET}}}}}\n",
        SHORT + f"    sql: {{password_file: {SECRET}}}\n",
        SHORT + f"    sql: {{passwd: {SECRET}}}\n",
        SHORT + f"    sql: password={SECRET}\n",
        SHORT + f"    sql: [{{password: {SECRET}}}]\n",
        SHORT + f"    sql: {{password: *{SECRET}}}\n",
        SHORT.replace("12}", f"12, sql: {{password: {SECRET}}}}}"),
    ],
)
def test_a_password_that_was_written_into_the_file_is_never_repeated(tmp_path, text):
    found = mistakes(tmp_path, text)
    assert found
    assert SECRET not in "".join(found)


def test_what_some_nodes_lack_is_told_with_their_names(tmp_path):
    text = SHORT.replace("      data_dir: /data\n", "")
    text = text.replace("12}", "12, postgres: {data_dir: /data}}")
    assert mistakes(tmp_path, text) == [
        "config.yaml:6:5: clusters.main.postgres.data_dir: is missing for pg1;"
        " write it here, or there"
    ]


def with_files(tmp_path):
    names = ("key", "known", "password")
    for name in names:
        file = tmp_path / name
        file.write_text("something\n")
        file.chmod(0o600)
    text = SHORT + "    sql: {password_file: /password}\n"
    for name in names:
        text = text.replace(f"/{name}", f"{tmp_path}/{name}")
    (tmp_path / "config.yaml").write_text(text)
    return tmp_path / "config.yaml"


def test_a_configuration_whose_files_are_there_and_private_is_taken(tmp_path):
    file = with_files(tmp_path)
    (tmp_path / "known").chmod(0o644)
    assert set(load(file).clusters) == {"main"}


@pytest.mark.parametrize("name", ["key", "password"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_secret_that_others_may_touch_is_refused_with_the_command_that_mends_it(
    tmp_path, name, mode
):
    file = with_files(tmp_path)
    (tmp_path / name).chmod(mode)
    (found,) = told(file)
    assert f"run: chmod 600 {tmp_path}/{name}" in found


def test_files_that_are_missing_empty_or_no_files_are_told_all_at_once(tmp_path):
    file = with_files(tmp_path)
    (tmp_path / "key").unlink()
    (tmp_path / "known").unlink()
    os.mkfifo(tmp_path / "known")
    (tmp_path / "password").write_text("")
    found = told(file)
    assert len(found) == 3
    assert f"{tmp_path}/key cannot be read: No such file" in "".join(found)
    assert f"{tmp_path}/known is no file" in "".join(found)
    assert f"{tmp_path}/password is empty" in "".join(found)


def test_files_are_looked_at_even_where_keys_are_wrong(tmp_path):
    file = with_files(tmp_path)
    (tmp_path / "key").unlink()
    file.write_text(file.read_text() + "    detection: {intervall: 1s}\n")
    missing, misspelt = told(file)
    assert "clusters.main.ssh.key_file" in missing
    assert "did you mean interval?" in misspelt


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("user: failoverd, password_file: /nowhere", "password_file: /nowhere cannot be read"),
        ("user: failoverd, password_file: /etc/passwd", "is open to others than its owner"),
        ("ca_file: /nowhere", "ca_file: /nowhere cannot be read"),
        ("ca_file: /etc/passwd", "has no authorities"),
    ],
)
def test_a_file_of_the_leadership_is_looked_at(tmp_path, keys, said):
    file = with_files(tmp_path)
    file.write_text(file.read_text() + led(f"{ETCD}, {keys}"))
    (found,) = told(file)
    assert said in found


def test_a_file_of_a_node_is_told_where_the_node_names_it(tmp_path):
    file = with_files(tmp_path)
    text = file.read_text().replace("12}", f"12, ssh: {{key_file: {tmp_path}/none}}}}")
    file.write_text(text)
    (found,) = told(file)
    assert "config.yaml:5:37: clusters.main.nodes.pg2.ssh.key_file: " in found


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["clusters", "main", "nodes", "pg1", "host", "sql", "password", "port"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def configuration_or_mistakes(text):
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "config.yaml"
        file.write_bytes(text.encode(errors="surrogatepass"))
        try:
            assert isinstance(load(file, check_files=False), Configuration)
        except ConfigurationErrors as errors:
            assert errors.messages
            assert all(str(message).startswith(str(file)) for message in errors.messages)


@settings(deadline=None)  # how long it takes says how busy the machine is
@given(st.text())
def test_whatever_is_in_the_file_is_a_configuration_or_told_mistakes(text):
    configuration_or_mistakes(text)


PLACES = [
    ("clusters", "main", "nodes", "pg1", "host"),
    ("clusters", "main", "sql", "password"),
    ("clusters", "main", "detection"),
    ("clusters", "main", "redirect"),
    ("clusters", "main"),
    ("daemon", "log"),
    (),
]


@settings(deadline=None)
@given(ANYTHING, st.sampled_from(PLACES))
def test_whatever_stands_in_place_of_a_value_is_taken_or_told(thing, place):
    data = {"clusters": {"main": yaml.safe_load(SHORT)["clusters"]["main"]}, "daemon": {}}
    here = data
    for part in place[:-1]:
        here = here.setdefault(part, {})
    if place:
        here[place[-1]] = thing
    configuration_or_mistakes(yaml.safe_dump(data if place else thing, allow_unicode=True))


@pytest.mark.parametrize(
    ("more", "clean"),
    [
        ("    limits: {fence: 10s}\n", "5 s"),
        ("    limits: {stop_fast: 14s}\n", "14 s"),
    ],
)
def test_a_fence_is_given_the_time_of_its_own_waits(tmp_path, more, clean):
    (told,) = mistakes(tmp_path, SHORT + more)
    assert f"is shorter than the waits in it: a clean stop {clean}, stop_immediate 2 s" in told


def test_a_stop_command_has_its_own_limit_and_a_fence_must_be_longer(tmp_path):
    own = "data_dir: /data\n      stop_command: /opt/stop\n      command_timeout: 30s"
    (told,) = mistakes(tmp_path, SHORT.replace("data_dir: /data", own))
    assert "a clean stop 30 s" in told
    assert "write at least 37s" in told


def test_a_cluster_of_debians_is_written_as_pg_lsclusters_has_it(tmp_path):
    wrong = SHORT.replace("data_dir: /data", "data_dir: /data\n      debian_cluster: main")
    assert "such as 15/main" in mistakes(tmp_path, wrong)[0]
