import asyncio

from agent.control.access_watch import AccessWatch
from agent.domain.entitlement import NOT_ACTIVATED, Access, AccessLevel
from tests.fakes.waiting import until


async def test_every_change_of_access_is_told_once() -> None:
    current = [NOT_ACTIVATED]
    told: list[str] = []
    watch = AccessWatch(lambda: current[0], lambda: told.append(current[0].reason))
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch.run())
        await asyncio.sleep(0)
        for reason in ("PAID", "PAID", "SUBSCRIPTION_EXPIRED"):
            current[0] = Access(AccessLevel.FULL, reason, None, {})
            watch.wake()
            await until(lambda: bool(told) and told[-1] == current[0].reason)
        watching.cancel()
    assert told == ["PAID", "SUBSCRIPTION_EXPIRED"]
