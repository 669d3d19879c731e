"""A server process that dies at a chosen step of taking a quote, and one that comes after it.

Zero hours: take the quote; otherwise do everything that was left undone within so many. Steps are those of billing.
"""

from datetime import timedelta

from controlplane.runtime.randomness import SystemRandomness
from tests.fakes.lives import LivesWorld
from tests.integration.controlplane.billing.dying_process import DyingDatabase, DyingProvider


async def main(database_url: str, bank: str, org_id: str, quote_id: str, hours: str, step: str = "") -> None:
    """Do one of both."""
    database = DyingDatabase(database_url, step)
    world = LivesWorld(database, DyingProvider(bank, step), SystemRandomness())
    if int(hours):
        await world.advance(timedelta(hours=int(hours)))
    else:
        await world.quotes.apply(org_id, quote_id, f"take-{quote_id}")
    await database.close()
