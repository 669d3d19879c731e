"""Hears of all news of devices: from the bus at once, and within seconds from the database, whatever the bus loses."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from controlplane.devices.check_ins.recall import RecallBook
from controlplane.runtime.bus.port import Hint
from controlplane.storage.database import Database
from controlplane.storage.news import News, newest_news, news_since

#: Seconds between two looks into the database: how late news are if the bus loses them.
EVERY_S: Final = 5.0
#: What is remembered is not believed if the last look that worked is longer ago, in seconds.
BELIEVED_S: Final = 3 * EVERY_S
#: Looks overlap: a transaction is seen when it is through, and notes its news shortly before.
_OVERLAP_S: Final = 60.0
_log = structlog.get_logger(__name__)


class NewsWatch:
    """Forgets what news make wrong, and passes on what the bus lost.

    Args:
        database: Where news are noted.
        book: What devices were told.
        every_s: Seconds between looks.
        now: Seconds of a monotonic clock; None: the event loop's.
    """

    def __init__(
        self,
        *,
        database: Database,
        book: RecallBook,
        every_s: float = EVERY_S,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._database = database
        self._book = book
        self._every_s = every_s
        self._clock = now
        self._listeners: list[Callable[[Hint], None]] = []
        self._looked_at: float | None = None
        self._newest = 0
        self._known: Mapping[News, int] = {}
        self._heard: set[News] = set()
        self._heard_before: set[News] = set()

    @property
    def is_current(self) -> bool:
        """Whether news of the last seconds cannot have been missed."""
        return self._looked_at is not None and self._now() - self._looked_at <= BELIEVED_S

    def listen(self, listener: Callable[[Hint], None]) -> None:
        """Have what the bus lost told to a listener from now on."""
        self._listeners.append(listener)

    def heard(self, hint: Hint) -> None:
        """The bus says that there is news."""
        self._book.forget(hint.org_id, hint.device_id)
        self._heard.add(News(hint.org_id, hint.device_id))

    def noted(self, news: News) -> None:
        """This process made news that nobody has to be told of."""
        self.heard(Hint(news.org_id, news.device_id))

    async def run_forever(self) -> None:
        """Look every so often, until cancelled."""
        while True:
            try:
                await self.look()
            # Supervision point: while the database is away, rows are asked for, and whoever asks is told.
            except Exception as error:  # noqa: BLE001
                _log.warning("news_not_seen", error=type(error).__name__)
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Look once."""
        began = self._now()
        first = self._looked_at is None or began - self._looked_at > _OVERLAP_S
        async with self._database.reading() as connection:
            newest = await newest_news(connection) if first else self._newest
            found = await news_since(connection, newest - int(_OVERLAP_S * 1_000_000))
        if first:
            self._book.forget_all()
        else:
            heard = self._heard | self._heard_before
            for news in [news for news, noted_at in found.items() if self._known.get(news) != noted_at]:
                self._tell(news, heard=news in heard)
        self._heard_before, self._heard = self._heard, set()
        self._known = found
        self._newest = max(found.values(), default=newest)
        self._looked_at = began

    def _tell(self, news: News, *, heard: bool) -> None:
        self._book.forget(news.org_id, news.device_id)
        if not heard:
            for listener in self._listeners:
                listener(Hint(news.org_id, news.device_id))

    def _now(self) -> float:
        return asyncio.get_running_loop().time() if self._clock is None else self._clock()
