"""Files and what happens to them.

A path is a `str` in the file system's encoding with surrogate escapes (PEP 383): every name a kernel can hold
survives the round trip through `os.fsencode`. A path says where something was, never what it is now.
"""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Which file, in which version; equal identities mean the same bytes as far as the kernel can tell.

    `ctime_ns` cannot be set by a program, so a file changed and back-dated still differs.
    """

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


class EventKind(Enum):
    """Why a file came to our attention."""

    CLOSED_AFTER_WRITE = "closed_after_write"
    #: Moved, created or hard-linked under a watched root: its name is new there.
    APPEARED = "appeared"
    #: Found by a walk, not by the kernel's word.
    RECONCILED = "reconciled"
    #: Blocking mode: somebody waits for our answer to open it.
    OPENING = "opening"


@dataclass(frozen=True, slots=True)
class FileEvent:
    """One file to look at.

    Attributes:
        identity: What the descriptor pointed to when the event was read.
        path: Where it was then; a hint for people and exclusions.
        descriptor: An open, read-only descriptor whose ownership travels with the event.
        pid: The process that caused it; 0 when the source cannot tell.
        kind: Why.
        token: Names the waiting opener in blocking mode; it must be answered exactly once. None: nobody waits.
        seen_at_ns: Monotonic time of reading, for latencies.
    """

    identity: FileIdentity
    path: str
    descriptor: int
    pid: int
    kind: EventKind
    token: int | None
    seen_at_ns: int


@dataclass(frozen=True, slots=True)
class EventsLost:
    """The source dropped events it cannot name; only a walk can find what was missed."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class SourceDied:
    """The source will deliver nothing more until it is opened again."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class RootLost:
    """A watched root vanished, was unmounted or cannot be read any more."""

    root: str
    reason: str


@dataclass(frozen=True, slots=True)
class FolderAppeared:
    """A whole folder was moved under a watched root: the kernel says nothing about what is in it, a walk has to."""

    path: str


SourceEvent = FileEvent | FolderAppeared | EventsLost | SourceDied | RootLost
