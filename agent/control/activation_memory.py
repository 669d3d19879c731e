"""Why the last activation was refused, kept for whoever looks for the cause later."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from agent.domain.errors import BucklerError
from agent.domain.ports import Clock, Settings, Store

#: A setting of the store that belongs to this room.
ACTIVATION_REFUSAL = "activation_refusal"


@dataclass(frozen=True, slots=True)
class PastRefusal:
    """In the words it was refused with; the key is no part of them."""

    code: str
    message: str
    next_step: str
    at: datetime


@contextmanager
def refusals_remembered(store: Store, clock: Clock) -> Iterator[None]:
    """Keep what the block is refused with; forget it once the block succeeds."""
    try:
        yield
    except BucklerError as error:
        kept = {"code": error.code, "message": error.message, "next_step": error.next_step}
        _put(store, json.dumps({**kept, "at": clock.now().isoformat()}))
        raise
    _put(store, "")


def past_refusal(settings: Settings) -> PastRefusal | None:
    """Of the last activation; None: it succeeded, or there was none."""
    text = settings.get(ACTIVATION_REFUSAL)
    if not text:
        return None
    kept = json.loads(text)
    return PastRefusal(kept["code"], kept["message"], kept["next_step"], datetime.fromisoformat(kept["at"]))


def _put(store: Store, text: str) -> None:
    with store.transaction() as tables:
        if text or tables.settings.get(ACTIVATION_REFUSAL):
            tables.settings.put(ACTIVATION_REFUSAL, text)
