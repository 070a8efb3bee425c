"""A file system of its own for the WAL, and what can become of it."""

from __future__ import annotations

from tests.lab.cluster import Watched
from tests.lab.detection.again import Again, Pause
from tests.lab.lab import Lab
from tests.lab.machine import run
from tests.lab.server import DATA_DIR, DatabaseHost

MUCH_WAL = (
    "create table if not exists churn (id bigint);"
    " insert into churn select generate_series(1, {rows})"
)
MOVE = f"""
set -e
chown postgres:postgres /wal
mkdir /wal/pg_wal
chown postgres:postgres /wal/pg_wal
cp -a {DATA_DIR}/pg_wal/. /wal/pg_wal/
rm -rf {DATA_DIR}/pg_wal
ln -s /wal/pg_wal {DATA_DIR}/pg_wal
"""


def _moved(lab: Lab, mount: str) -> None:
    primary, standby = lab.servers[:2]
    primary.pg_ctl_stop()
    primary.run(["sh", "-c", f"mkdir /wal; {mount}\n{MOVE}"])
    primary.start()
    standby.wait_until_streaming()


def wal_on_a_small_disk(lab: Lab) -> None:
    _moved(lab, "mount -t tmpfs -o size=160m tmpfs /wal")


def wal_on_ext4(lab: Lab) -> None:
    _on_loop_device(lab, "truncate -s 300M /var/wal.img; mkfs.ext4 -q -F /var/wal.img", "/var")


def wal_on_a_disk_that_can_fail(lab: Lab) -> None:
    """The disk is a file that promises more than the file system below it has."""
    below = "mkdir /below; mount -t tmpfs -o size=90m tmpfs /below; truncate -s 400M /below/wal.img"
    _on_loop_device(lab, f"{below}; mkfs.ext4 -q -F /below/wal.img", "/below")


def _on_loop_device(lab: Lab, image: str, folder: str) -> None:
    """The device goes by itself with the mount, and that with the host."""
    device = run(["losetup", "--find"]).stdout.strip()
    number = device.removeprefix("/dev/loop")
    _moved(
        lab,
        f"set -e; {image}; mknod {device} b 7 {number}; losetup {device} {folder}/wal.img;"
        f" mount -o errors=remount-ro {device} /wal; losetup -d {device}",
    )


def write_much(w: Watched, rows: int = 3_000_000) -> None:
    """Until the server cannot any more; the session is lost with it."""
    command = ["psql", "-X", "-q", "-h", w.pg1.socket_dir, "-d", "postgres"]
    w.pg1.run(
        [*command, "-c", MUCH_WAL.format(rows=rows)], user="postgres", check=False, timeout_s=60
    )


def freeze_wal(w: Watched) -> None:
    """Every write to it waits, as with a storage that hangs; what is cached can be read."""
    w.pg1.run(["fsfreeze", "--freeze", "/wal"])


def thaw_wal(w: Watched) -> None:
    w.pg1.run(["fsfreeze", "--unfreeze", "/wal"])


def thaw_once_fenced_in_vain(w: Watched, pause: Pause) -> None:
    """What waits for a disk cannot be killed: the fence is proved once the disk is back."""
    # From the log: only the trial's own thread may ask for the status.
    if '"no_fence_proof"' in w.daemon.log_text or '"state": "blocked"' in w.daemon.log_text:
        w.pg1.run(["fsfreeze", "--unfreeze", "/wal"], check=False)
    pause(0.1)


THAW_ONCE_FENCED_IN_VAIN = Again(thaw_once_fenced_in_vain)


def freeze_wal_until_blocked(w: Watched) -> None:
    freeze_wal(w)
    THAW_ONCE_FENCED_IN_VAIN.begin(w)


def turn_wal_read_only(w: Watched) -> None:
    """As ext4 does it by itself after an error of its own."""
    device = w.pg1.run(["sh", "-c", "df --output=source /wal | tail -1"]).stdout.strip()
    trigger(device.removeprefix("/dev/"))
    write_much(w, 1000)


def trigger(device: str) -> None:
    with open(f"/sys/fs/ext4/{device}/trigger_fs_error", "w") as file:  # noqa: PTH123
        file.write("the lab's error\n")


def small_tablespace(host: DatabaseHost) -> None:
    host.run(
        ["sh", "-c", "mkdir /small; mount -t tmpfs -o size=20m tmpfs /small;"
         " mkdir /small/space; chown postgres:postgres /small /small/space"],
    )  # fmt: skip


def fill_tables(w: Watched) -> None:
    small_tablespace(w.pg1)
    small_tablespace(w.pg2)
    w.pg1.sql("create tablespace small location '/small/space'")
    w.pg1.sql("create table filling (t text) tablespace small")
    command = ["psql", "-X", "-q", "-h", w.pg1.socket_dir, "-d", "postgres", "-c"]
    filling = "insert into filling select repeat('x', 1000) from generate_series(1, 100000)"
    done = w.pg1.run([*command, filling], user="postgres", check=False)
    assert "No space left on device" in done.stderr, done.stderr
