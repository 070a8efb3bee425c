"""What a host says of the WAL on its disk, and the pages that came with it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from failoverd.core.lsn import Lsn
from failoverd.core.model import Epoch, Timeline, WalEnd
from failoverd.transport.host import HostAnswer

INLINE_BYTES = 1024 * 1024
"""So much travels inside the fence's own answer."""


@dataclass(frozen=True, slots=True)
class WalOnDisk:
    """Of one node, at one fence or look: whoever is fenced or frozen writes no more."""

    epoch: Epoch
    end: WalEnd
    segment_bytes: int
    block_bytes: int
    pages_from: Lsn = field(default_factory=lambda: Lsn(0))
    pages: bytes = field(default=b"", repr=False)

    def page_of(self, position: Lsn) -> int:
        """Where the page begins that holds it."""
        return position.bytes // self.block_bytes * self.block_bytes

    @property
    def stop(self) -> int:
        """Where the last page ends that the WAL reaches."""
        return -(-self.end.end.bytes // self.block_bytes) * self.block_bytes

    def held(self, begin: int) -> bytes | None:
        """The pages from `begin` to the end, where they came with the answer."""
        skip = begin - self.pages_from.bytes
        whole = self.pages_from.bytes + len(self.pages) == self.stop
        return self.pages[skip:] if self.pages and whole and skip >= 0 else None


def wal_on_disk(answer: HostAnswer, epoch: Epoch) -> WalOnDisk | None:
    """None where it was not told, or not understood."""
    if not answer.done or not answer.field("wal_end"):
        return None
    try:
        end = WalEnd(
            Timeline(int(answer.field("wal_timeline"))),
            Lsn.parse(answer.field("last_record")),
            Lsn.parse(answer.field("wal_end")),
        )
        segment, block = int(answer.field("wal_segment")), int(answer.field("wal_block"))
        pages_from = Lsn.parse(answer.field("pages_from") or "0/0")
        pages = base64.b64decode(answer.field("pages_b64"), validate=True)
    except (ValueError, binascii.Error):
        return None
    return WalOnDisk(epoch, end, segment, block, pages_from, pages) if block else None
