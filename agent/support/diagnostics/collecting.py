"""Gathers the items of a bundle, each by itself: one that fails or hangs is told as such, and the others come.

An item is redacted before it is bounded, so that no secret is cut in two and half of it missed.
"""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from agent.domain.errors import BucklerError
from agent.domain.ports import Clock
from agent.support.redaction import Json, Redactor

#: How long one item usually may take, redaction included, in seconds.
PATIENCE_S = 20.0
#: How large one may be, and all of them together, in bytes before compression.
ITEM_LIMIT = 256 * 1024
LOG_LIMIT = 512 * 1024
BUNDLE_LIMIT = 4 * 1024 * 1024
#: What a collector may hand in beyond what is kept; the rest is cut off unread.
_INPUT_FACTOR = 2
_LONGEST_ERROR = 1_000


class NotHereError(Exception):
    """There is nothing of that kind on this machine now, which is no fault; says why."""


class ItemStatus(Enum):
    """What became of an item."""

    COLLECTED = "collected"
    #: It was too large; what is there is said in the item.
    TRUNCATED = "truncated"
    #: There is nothing of the kind here now.
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    #: Something private was still in it after redaction, or the bundle was full: it stays here.
    HELD_BACK = "held_back"


class Keep(Enum):
    """Which end of a text that is too long is worth more."""

    BEGINNING = "beginning"
    END = "end"


@dataclass(frozen=True, slots=True)
class Collector:
    """One thing to gather.

    Attributes:
        name: Of its file in the bundle.
        step: What is done for it, as a person could do it.
        collect: Does it: a text, or a value that becomes JSON. May raise `NotHereError` or anything else.
        limit: Bytes kept.
        keep: Which.
        patience_s: How long it may take.
    """

    name: str
    step: str
    collect: Callable[[], Json]
    limit: int = ITEM_LIMIT
    keep: Keep = Keep.BEGINNING
    patience_s: float = PATIENCE_S


@dataclass(frozen=True, slots=True)
class Item:
    """What was gathered.

    Attributes:
        name: Of its file.
        step: As of the collector.
        status: What became of it.
        error: Why it is not whole; redacted.
        text: What goes into the bundle; empty: there is no file.
        redactions: What was taken out, by kind.
        took_ms: Wall time.
    """

    name: str
    step: str
    status: ItemStatus
    error: str = ""
    text: str = ""
    redactions: dict[str, int] = field(default_factory=dict)
    took_ms: float = 0.0

    @property
    def size_bytes(self) -> int:
        """As written."""
        return len(self.text.encode("utf-8", "backslashreplace"))


def collect_all(collectors: Sequence[Collector], redactor: Redactor, clock: Clock) -> tuple[Item, ...]:
    """Gather everything, in order.

    Args:
        collectors: What.
        redactor: Of this bundle.
        clock: Measures.
    """
    items: list[Item] = []
    left = BUNDLE_LIMIT
    for collector in collectors:
        begun_ns = clock.monotonic_ns()
        item = _in_time(collector, redactor)
        if item.size_bytes > left:
            item = Item(item.name, item.step, ItemStatus.HELD_BACK, "the bundle is as large as it may be")
        left -= item.size_bytes
        took_ms = round((clock.monotonic_ns() - begun_ns) / 1_000_000, 1)
        items.append(Item(item.name, item.step, item.status, item.error, item.text, item.redactions, took_ms))
    return tuple(items)


def _in_time(collector: Collector, redactor: Redactor) -> Item:
    """In a thread of its own: what hangs there hangs by itself, and ends with this process."""
    outcome: list[Item] = []
    thread = threading.Thread(target=lambda: outcome.append(_collect(collector, redactor)), daemon=True)
    thread.start()
    thread.join(collector.patience_s)
    if outcome:
        return outcome[0]
    return Item(collector.name, collector.step, ItemStatus.FAILED, f"no answer within {collector.patience_s:g} s")


def _collect(collector: Collector, redactor: Redactor) -> Item:
    redactor.take_counts()
    status, error, value = ItemStatus.COLLECTED, "", ""
    try:
        value = _redacted(collector, redactor)
    except NotHereError as why:
        status, error = ItemStatus.UNAVAILABLE, str(why)
    except BucklerError as refusal:
        status, error = ItemStatus.FAILED, f"{refusal.code}: {refusal.message}; {refusal.next_step}"
    except Exception as failure:  # noqa: BLE001 -- supervision point: one item's failure is evidence, not the end
        status, error = ItemStatus.FAILED, f"{type(failure).__name__}: {failure}"
    error = redactor.text(error)[:_LONGEST_ERROR]
    redactions = redactor.take_counts()
    if redactor.leaks(value) or redactor.leaks(error):
        why_not = "something private was left in it, so it stays here"
        return Item(collector.name, collector.step, ItemStatus.HELD_BACK, why_not, "", redactions)
    text = _bounded(value, collector.limit, collector.keep)
    if text != value:
        status, error = ItemStatus.TRUNCATED, f"only its {collector.keep.value}, {collector.limit} bytes"
    return Item(collector.name, collector.step, status, error, text, redactions)


def _redacted(collector: Collector, redactor: Redactor) -> str:
    value = collector.collect()
    if isinstance(value, str):
        return redactor.text(_bounded(value, collector.limit * _INPUT_FACTOR, collector.keep))
    # With everything in ASCII: names of any bytes survive, and so does the reader's terminal.
    return json.dumps(redactor.value(value), indent=1)


def _bounded(text: str, limit: int, keep: Keep) -> str:
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) <= limit:
        return text
    if keep is Keep.END:
        kept = raw[-limit:].decode("utf-8", "ignore")
        return f"[{len(raw) - limit} bytes before this are left out]\n{kept.partition(chr(10))[2] or kept}"
    kept = raw[:limit].decode("utf-8", "ignore")
    return f"{kept}\n[{len(raw) - limit} bytes after this are left out]\n"
