"""PID 1 of a lab host: builds its file tree, then reaps orphans until standard input ends.

Started inside fresh namespaces; the plan is the first line, as JSON, of standard input. Only the
standard library, and nothing imported after the root has changed. When the lab dies, however it
dies, the pipe on standard input ends, this process ends, and the kernel ends all of the host.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DIRECTORIES = {
    "dev/pts": 0o755, "dev/shm": 0o1777, "home": 0o755, "opt": 0o755, "proc": 0o555,
    "root": 0o755, "run/lock": 0o1777, "run/sshd": 0o755, "sys": 0o555, "tmp": 0o1777,
    "var/cache": 0o755, "var/lib": 0o755, "var/log": 0o755, "var/tmp": 0o1777,
}  # fmt: skip
DEVICE_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
                "ptmx": "pts/ptmx"}  # fmt: skip

libc = ctypes.CDLL(None, use_errno=True)


def call(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str = "") -> None:
    call(
        libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, data.encode()),
        f"mount {source} on {target}",
    )


def bind(source: str, target: str, *, read_only: bool) -> None:
    mount(source, target, None, MS_BIND | MS_REC)
    if read_only:
        mount(source, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY)


def make(path: str, mode: int = 0o755) -> None:
    """Every directory of the tree can be passed through, whatever the mode of the original."""
    Path(path).mkdir(0o755, parents=True, exist_ok=True)
    Path(path).chmod(mode)


def show(tree: Path, root: str) -> None:
    """What is in `tree`, at its own path below `root`, even if `tree` is closed to others."""
    make(root + str(tree))
    for entry in tree.iterdir():
        target = Path(root + str(entry))
        if entry.is_symlink():
            target.symlink_to(entry.readlink())
            continue
        if entry.is_dir():
            target.mkdir()
        else:
            target.touch()
        bind(str(entry), str(target), read_only=True)


def build(root: str, plan: dict[str, Any]) -> None:
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("host", root, "tmpfs", 0, "mode=755")
    tree = Path(plan["tree"])
    for name in SYSTEM:
        if (tree / name).is_symlink():
            Path(f"{root}/{name}").symlink_to((tree / name).readlink())
        elif (tree / name).is_dir():
            make(f"{root}/{name}")
            bind(str(tree / name), f"{root}/{name}", read_only=True)
    for path, mode in DIRECTORIES.items():
        make(f"{root}/{path}", mode)
    Path(f"{root}/var/run").symlink_to("/run")
    for name in DEVICES:
        Path(f"{root}/dev/{name}").touch()
        bind(f"/dev/{name}", f"{root}/dev/{name}", read_only=False)
    for name, target in DEVICE_LINKS.items():
        Path(f"{root}/dev/{name}").symlink_to(target)
    mount("devpts", f"{root}/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620")
    mount("proc", f"{root}/proc", "proc")
    subprocess.run(["cp", "-a", tree / "etc", f"{root}/etc"], check=True)
    for name in ("passwd", "group", "shadow"):  # of one number everywhere
        shutil.copy(f"/etc/{name}", f"{root}/etc/{name}")
    for name, lines in plan["accounts"].items():
        with Path(f"{root}/etc/{name}").open("a") as accounts:
            accounts.writelines(f"{line}\n" for line in lines)
    for source, target in plan["writable"]:
        make(root + target)
        bind(source, root + target, read_only=False)
    for path in plan["read_only"]:
        show(Path(path), root)
    os.chdir(root)
    call(libc.pivot_root(b".", b"tmp"), "pivot_root")
    os.chdir("/")
    call(libc.umount2(b"/tmp", MNT_DETACH), "umount of the machine's own tree")


def read_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(0, 1) or b"\n"
    return line


def end_with_standard_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def main() -> None:
    plan = json.loads(read_line())
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    if plan["root"]:
        socket.sethostname(plan["name"])
        build(plan["root"], plan)
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    os.write(1, b"ready\n")
    while True:
        signal.sigwait({signal.SIGCHLD})
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            continue


if __name__ == "__main__":
    main()
