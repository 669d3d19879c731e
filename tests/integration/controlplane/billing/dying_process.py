"""A server process that dies at a chosen step of a payment or a refund, and one that comes after it.

A step is `call:before`, `call:after`, `commit:N:before` or `commit:N:after`; without one the process lives on.
"""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from controlplane.billing.attempts import ProviderCharge
from controlplane.billing.ports import ChargeOrder, ProviderRefund, RefundOrder
from controlplane.billing.providers.stripe_api import StripeProvider
from controlplane.storage.database import Database, UnitOfWork
from tests.fakes.billing import BillingWorld
from tests.fakes.payment_provider.transport import SETTINGS


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingDatabase(Database):
    """Dies around the commit of its Nth transaction."""

    def __init__(self, url: str, step: str) -> None:
        super().__init__(url)
        self._step = step
        self._transactions = 0

    @asynccontextmanager
    async def transaction(self, *, bulk: bool = False) -> AsyncIterator[UnitOfWork]:
        self._transactions += 1
        number = self._transactions
        async with super().transaction(bulk=bulk) as uow:
            yield uow
            if self._step == f"commit:{number}:before":
                _die()
        if self._step == f"commit:{number}:after":
            _die()


class DyingProvider(StripeProvider):
    """Dies around the call that moves money."""

    def __init__(self, api_base: str, step: str) -> None:
        super().__init__(replace(SETTINGS, api_base=api_base))
        self._step = step

    async def charge(self, order: ChargeOrder) -> ProviderCharge:
        self._maybe("call:before")
        charge = await super().charge(order)
        self._maybe("call:after")
        return charge

    async def refund(self, order: RefundOrder) -> ProviderRefund:
        self._maybe("call:before")
        refund = await super().refund(order)
        self._maybe("call:after")
        return refund

    def _maybe(self, step: str) -> None:
        if self._step == step:
            _die()


async def main(database_url: str, bank: str, action: str, org_id: str, subject: str, step: str = "") -> None:
    """Do one thing, or everything that was left undone within two hours."""
    database = DyingDatabase(database_url, step)
    world = BillingWorld(database, provider=DyingProvider(bank, step))
    if action == "pay":
        await world.service.pay(org_id, subject)
    elif action == "refund":
        await world.billing.refunds.submit(org_id, subject)
    else:
        await world.advance(timedelta(hours=2))
    await database.close()
