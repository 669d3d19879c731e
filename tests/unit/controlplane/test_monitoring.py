from datetime import timedelta

from controlplane.devices.connections import Connections, StreamSettings
from controlplane.monitoring import FRESH_FOR, Backlog, Monitor, ServerFigures
from controlplane.runtime.bus.memory import MemoryBus
from controlplane.runtime.network.web import Shown
from controlplane.storage.database import PoolUse
from tests.fakes.clock import SOME_MONDAY, FakeClock
from tests.fakes.randomness import SeededRandomness


class Database:
    """Asked for what waits in it."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0

    async def backlog(self) -> Backlog:
        self.asked += 1
        if self.away:
            raise ConnectionError
        return Backlog(7.5, {"pending": 3})


def monitor_of(database: Database, clock: FakeClock) -> Monitor:
    connections = Connections(StreamSettings(), clock, SeededRandomness())
    connections.hint("org_1", "dev_1")
    figures = ServerFigures(connections, MemoryBus(), lambda: PoolUse(in_use=2, idle=8), remembered=lambda: 5)
    return Monitor(figures, database.backlog, clock)


async def shown(monitor: Monitor, path: str) -> Shown:
    return await next(page for page in monitor.pages() if page.path == path).show()


async def test_the_figures_are_those_of_this_moment() -> None:
    text = (await shown(monitor_of(Database(), FakeClock(SOME_MONDAY)), "/metrics")).body.decode()
    for line in (
        "buckler_streams 0.0",
        'buckler_hints_total{outcome="missed"} 1.0',
        'buckler_database_connections{state="in_use"} 2.0',
        "buckler_check_ins_remembered_total 5.0",
        "buckler_job_lag_seconds 7.5",
        'buckler_commands_open{state="pending"} 3.0',
    ):
        assert line in text.splitlines()


async def test_the_database_is_not_asked_by_every_question() -> None:
    database, clock = Database(), FakeClock(SOME_MONDAY)
    monitor = monitor_of(database, clock)
    for _ in range(3):
        await shown(monitor, "/metrics")
    assert database.asked == 1
    clock.advance(FRESH_FOR + timedelta(seconds=1))
    await shown(monitor, "/readyz")
    assert database.asked == 2


async def test_a_server_without_its_database_lives_and_is_not_ready() -> None:
    database = Database()
    monitor = monitor_of(database, FakeClock(SOME_MONDAY))
    database.away = True
    assert ((await shown(monitor, "/readyz")).status, (await shown(monitor, "/livez")).status) == (503, 200)
    text = (await shown(monitor, "/metrics")).body.decode()
    assert "buckler_database_reachable 0.0" in text
    assert "buckler_job_lag_seconds " not in text
    database.away = False
    assert (await shown(monitor, "/readyz")).status == 200
