"""What is wrong with a file or a program that the configuration names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from failoverd.config.document import Place
from failoverd.config.section import Secret

Wrong = tuple[Place, str]


def wrong_program(program: Path, place: Place) -> Iterator[Wrong]:
    if not program.is_absolute():
        yield place, f"{program} is no absolute path; write one that begins with /"
    elif not (program.is_file() and os.access(program, os.X_OK)):
        yield place, f"{program} is no program that this user may run; install it, or write another"


def wrong_secrets(secrets: Mapping[str, Secret], place: Place) -> Iterator[Wrong]:
    for option, secret in secrets.items():
        file = file_of(secret)
        wrong = None if file is None else wrong_with(file, private=True)
        if wrong is not None:
            yield (*place, option), wrong


def file_of(secret: Secret | None) -> Path | None:
    return secret.file if secret is not None else None


def wrong_with(file: Path, *, private: bool) -> str | None:
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            return f"{file} is no file; write the path of one"
        with file.open("rb"):
            pass
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}; write a file that this user may read"
    if private and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return f"{file} is open to others than its owner; run: chmod 600 {file}"
    if private and found.st_size == 0:
        return f"{file} is empty; write the secret into it"
    return None
