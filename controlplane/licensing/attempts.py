"""Refused attempts to activate: per address, per device key and per organisation.

Only refusals count: an activation that works costs nothing here.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.licensing.errors import too_many_attempts
from controlplane.runtime.attempts import Bucket, first_empty
from controlplane.runtime.rate_limit import Rate


class Guessing(Enum):
    """Whose attempts are counted together."""

    ADDRESS = "address"
    DEVICE = "device"
    ORGANISATION = "organisation"


#: A person mistypes a key a few times; a company behind one address rolls out a wrong one. At these rates the 60 bits
#: of a key that its hint does not show would take longer than there is.
RATES = {
    Guessing.ADDRESS: Rate(burst=60, every=timedelta(seconds=30)),
    Guessing.DEVICE: Rate(burst=30, every=timedelta(minutes=1)),
    Guessing.ORGANISATION: Rate(burst=500, every=timedelta(seconds=2)),
}


def guesses(kind: Guessing, name: str) -> Bucket:
    """Where somebody's attempts are counted."""
    return Bucket(kind.value, name, RATES[kind])


async def refuse_guessing(connection: AsyncConnection, buckets: Sequence[Bucket], now: datetime) -> None:
    """Refuse a caller whose bucket is empty.

    Raises:
        Refusal: `RATE_LIMITED`.
    """
    found = await first_empty(connection, buckets, now)
    if found is not None:
        bucket, wait = found
        raise too_many_attempts(bucket.kind, int(wait.total_seconds()) + 1)
