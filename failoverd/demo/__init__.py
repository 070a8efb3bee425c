"""A real PostgreSQL pair on this machine, a writer, a fault, a failover: to watch."""

from __future__ import annotations

from pathlib import Path


def main(fault: str = "crash", keep: bool = False, postgres: Path | None = None) -> int:  # noqa: FBT001, FBT002
    """Exit status 0 only if the failover happened, was confirmed and lost nothing acknowledged."""
    # Imported here: the programs inside this package must not be imported before they run.
    from failoverd.demo.demonstration import demonstrate  # noqa: PLC0415

    return demonstrate(fault, keep=keep, directory=postgres)
