"""NoticeService on the wire: validate, call one use case, translate."""

from typing import Final

from controlplane.billing.messages import microseconds, money_message
from controlplane.notices.model import Notice
from controlplane.notices.service import NoticeService
from controlplane.runtime.fields import text
from controlplane.runtime.interceptors import Context
from controlplane.runtime.paging import page_token, read_page
from controlplane.runtime.principal import current_person
from controlplane.storage.database import Database
from wire.v1 import notice_pb2
from wire.v1.notice_pb2_grpc import NoticeServiceServicer

MAX_ID_CHARACTERS: Final = 64
_NEWEST: Final = (int, str)


class NoticeRpc(NoticeServiceServicer):
    """The servicer."""

    def __init__(self, database: Database, service: NoticeService) -> None:
        self._database = database
        self._service = service

    async def ListNotices(  # noqa: N802 -- the name is the protocol's
        self, request: notice_pb2.ListNoticesRequest, _context: Context
    ) -> notice_pb2.ListNoticesResponse:
        """The newest first."""
        page = read_page(request.page.page_size, request.page.page_token, _NEWEST)
        async with self._database.reading() as connection:
            found = await self._service.newest(connection, current_person().org_id, page)
        shown = found[: page.size]
        last = shown[-1] if len(found) > page.size else None
        token = "" if last is None else page_token((microseconds(last.queued_at), last.notice_id))
        return notice_pb2.ListNoticesResponse(notices=[_message(each) for each in shown], next_page_token=token)

    async def GetNotice(  # noqa: N802 -- the name is the protocol's
        self, request: notice_pb2.GetNoticeRequest, _context: Context
    ) -> notice_pb2.Notice:
        """One notice with its texts."""
        notice_id = text("notice_id", request.notice_id, limit=MAX_ID_CHARACTERS, required=True)
        async with self._database.reading() as connection:
            notice = await self._service.find(connection, current_person().org_id, notice_id)
        message = _message(notice)
        message.text, message.html = notice.rendered.text, notice.rendered.html
        return message


def _message(notice: Notice) -> notice_pb2.Notice:
    announced = notice.announced
    return notice_pb2.Notice(
        notice_id=notice.notice_id,
        kind=notice.kind.value,
        about=notice.subject,
        recipient=notice.recipient,
        subject=notice.rendered.subject,
        state=notice.state.value,
        attempts=notice.attempts,
        last_error=notice.last_error,
        queued_at_us=microseconds(notice.queued_at),
        delivered_at_us=microseconds(notice.delivered_at),
        announced=None if announced is None else money_message(announced.amount),
    )
