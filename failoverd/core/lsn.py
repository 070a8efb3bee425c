"""A position in the WAL."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Lsn:
    """A position in the WAL, in bytes. Source: PostgreSQL, "pg_lsn Type"."""

    bytes: int

    @classmethod
    def parse(cls, text: str) -> Lsn:
        """Read `16/B374D848`. Raises ValueError for anything else."""
        high, slash, low = text.partition("/")
        if not slash or not (0 < len(high) <= 8 and 0 < len(low) <= 8):
            raise ValueError(f"not a WAL position: {text!r}")
        return cls((int(high, 16) << 32) + int(low, 16))

    def __str__(self) -> str:
        return f"{self.bytes >> 32:X}/{self.bytes & 0xFFFFFFFF:X}"

    def __sub__(self, other: Lsn) -> int:
        return self.bytes - other.bytes
