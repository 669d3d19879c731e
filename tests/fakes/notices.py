"""Notices that are remembered instead of delivered; those of a transaction that fails are not."""

from sqlalchemy import Connection, event

from controlplane.licensing.ports import Notice, NoticeKind
from controlplane.storage.database import UnitOfWork


class RecordingNotices:
    """What owners were told, in order."""

    def __init__(self) -> None:
        self.told: list[Notice] = []

    async def tell_owner(self, uow: UnitOfWork, notice: Notice) -> None:
        def remember(_connection: Connection) -> None:
            self.told.append(notice)

        event.listen(uow.connection.sync_connection, "commit", remember)

    @property
    def kinds(self) -> list[NoticeKind]:
        return [notice.kind for notice in self.told]
