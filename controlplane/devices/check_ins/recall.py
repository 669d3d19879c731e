"""Remembers which devices were told that there is nothing new: bounded, and forgotten as soon as there is news."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final
from zlib import crc32

from controlplane.devices.check_ins.quiet import Told
from controlplane.storage.news import EVERYONE

#: Devices of one process; some 2.5 KB each. The one unheard of for longest is forgotten first.
MOST: Final = 50_000
#: An answer is remembered for half of this at least. News make it forgotten long before; this is for what nobody told.
LASTS: Final = timedelta(hours=1)


class Look:
    """Rows that are being read to answer a device; news of it meanwhile spoil what is found."""

    __slots__ = ("_book", "device_id", "org_id", "spoilt")

    def __init__(self, book: "RecallBook", org_id: str, device_id: str) -> None:
        self._book = book
        self.org_id = org_id
        self.device_id = device_id
        self.spoilt = False

    def keep(self, told: Told) -> None:
        """Remember what was found, unless there was news."""
        if not self.spoilt:
            self._book.keep(self.org_id, self.device_id, told)


class RecallBook:
    """What devices were told last.

    Args:
        most: How many devices.
        lasts: How long.
    """

    def __init__(self, *, most: int = MOST, lasts: timedelta = LASTS) -> None:
        self._most = most
        self._lasts = lasts
        self._told: OrderedDict[tuple[str, str], Told] = OrderedDict()
        self._of_org: defaultdict[str, set[str]] = defaultdict(set)
        self._looks: set[Look] = set()

    def __len__(self) -> int:
        """How many devices are remembered."""
        return len(self._told)

    def find(self, org_id: str, device_id: str) -> Told | None:
        """What a device was told; None: nothing is remembered."""
        key = org_id, device_id
        told = self._told.get(key)
        if told is not None:
            self._told.move_to_end(key)
        return told

    def good_until(self, device_id: str, now: datetime, *turns: datetime | None) -> datetime:
        """The first of these instants that is to come, or when it is time to ask again anyway, spread over devices."""
        share = crc32(device_id.encode()) / (1 << 32)
        ends = (now + self._lasts * (1 + share) / 2, *turns)
        return min(end for end in ends if end is not None and end > now)

    @contextmanager
    def looking(self, org_id: str, device_id: str) -> Iterator[Look]:
        """While its rows are read."""
        look = Look(self, org_id, device_id)
        self._looks.add(look)
        try:
            yield look
        finally:
            self._looks.discard(look)

    def keep(self, org_id: str, device_id: str, told: Told) -> None:
        """Remember what a device was told."""
        key = org_id, device_id
        self._told[key] = told
        self._told.move_to_end(key)
        self._of_org[org_id].add(device_id)
        if len(self._told) > self._most:
            self._drop(next(iter(self._told)))

    def forget(self, org_id: str, device_id: str) -> None:
        """There is news for a device, or for all of an organisation's."""
        for look in self._looks:
            if look.org_id == org_id and device_id in {look.device_id, EVERYONE}:
                look.spoilt = True
        if device_id == EVERYONE:
            for each in tuple(self._of_org.get(org_id, ())):
                self._drop((org_id, each))
        elif (org_id, device_id) in self._told:
            self._drop((org_id, device_id))

    def forget_all(self) -> None:
        """Nobody knows what was missed."""
        for look in self._looks:
            look.spoilt = True
        self._told.clear()
        self._of_org.clear()

    def _drop(self, key: tuple[str, str]) -> None:
        org_id, device_id = key
        del self._told[key]
        self._of_org[org_id].discard(device_id)
        if not self._of_org[org_id]:
            del self._of_org[org_id]
