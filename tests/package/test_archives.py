"""What is published holds everything, and comes out the same whoever builds it."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from failoverd import __version__

CHECKOUT = Path(__file__).parents[2]
EPOCH = "1700000000"


def build(to):
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(to)]
    environment = {"SOURCE_DATE_EPOCH": EPOCH, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in sorted(to.iterdir())}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    place = tmp_path_factory.mktemp("built")
    build(place)
    return place


def test_two_builds_have_the_same_bytes(built, tmp_path):
    again = build(tmp_path)
    assert len(again) == 2
    assert again == {path.name: path.read_bytes() for path in built.iterdir()}


def test_the_wheel_holds_every_file_of_the_package_and_what_surrounds_it(built):
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(CHECKOUT))
        for path in (CHECKOUT / "failoverd").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted - names == set()
    data = {name.partition(".data/data/")[2] for name in names}
    assert {
        "share/failoverd/config.yaml",
        "share/failoverd/systemd/failoverd.service",
        "share/failoverd/systemd/failoverd@.service",
        "share/failoverd/systemd/failoverd.sysusers",
        "share/man/man8/failoverd.8",
    } <= data


def test_the_source_archive_holds_what_is_in_the_checkout(built):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    listed = subprocess.run(
        ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(listed) - names == set()


def test_the_version_comes_from_one_place(built):
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"failoverd-{__version__}-py3-none-any.whl"
    said = subprocess.run(
        [sys.executable, "-m", "failoverd", "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert said == f"failoverd, version {__version__}\n"
    assert not re.search(r'^version = "', (CHECKOUT / "pyproject.toml").read_text(), re.MULTILINE)
