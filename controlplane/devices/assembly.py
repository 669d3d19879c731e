"""Puts together the parts of this room that watch over fleets; called by the composition root."""

from dataclasses import dataclass
from datetime import timedelta

from controlplane.devices.check_ins.freshness import WRITE_EVERY, Freshness
from controlplane.devices.check_ins.nonces import ContactNonces
from controlplane.devices.check_ins.recall import RecallBook
from controlplane.devices.check_ins.remembered import Remembered
from controlplane.devices.check_ins.service import CheckIns
from controlplane.devices.fleet.counters import FleetCounters
from controlplane.devices.fleet.overview import FleetReader
from controlplane.devices.fleet.standings import Standings
from controlplane.devices.news_watch import NewsWatch
from controlplane.devices.ports import CloneAlarm, Licences
from controlplane.devices.registry import DeviceRegistry
from controlplane.runtime.clock import Clock
from controlplane.storage.database import Database


@dataclass(frozen=True, slots=True)
class Fleet:
    """How devices tell and are told about, built."""

    reader: FleetReader
    check_ins: CheckIns
    remembered: Remembered
    freshness: Freshness
    counters: FleetCounters
    news: NewsWatch


def build_fleet(
    *,
    database: Database,
    registry: DeviceRegistry,
    standings: Standings,
    licences: Licences,
    nonces: ContactNonces,
    alarm: CloneAlarm,
    clock: Clock,
    write_every: timedelta = WRITE_EVERY,
) -> Fleet:
    """Build it.

    Args:
        database: The database.
        registry: The rows of devices.
        standings: What they count as.
        licences: Seats and access.
        nonces: Tell two machines apart that call as one device.
        alarm: Told when that happens.
        clock: Business time.
        write_every: How long a contact that changes nothing waits to be written.
    """
    book = RecallBook()
    news = NewsWatch(database=database, book=book)
    freshness = Freshness(database=database, standings=standings, every=write_every, overtaken=book.forget)
    return Fleet(
        reader=FleetReader(database=database, standings=standings, licences=licences, clock=clock),
        check_ins=CheckIns(
            database=database,
            registry=registry,
            standings=standings,
            freshness=freshness,
            nonces=nonces,
            alarm=alarm,
            licences=licences,
            clock=clock,
        ),
        remembered=Remembered(
            book=book, freshness=freshness, nonces=nonces, is_current=lambda: news.is_current, clock=clock
        ),
        freshness=freshness,
        counters=FleetCounters(database=database, standings=standings, clock=clock),
        news=news,
    )
