"""Pages of what happened, the newest first; the same sort key for invoices, payments and refunds."""

from sqlalchemy import ColumnElement, Select, literal, tuple_

from controlplane.runtime.paging import Page
from controlplane.storage.types import Instant, from_microseconds


def newest_first(
    query: Select[tuple[object, ...]], at: ColumnElement[object], name: ColumnElement[object], page: Page
) -> Select[tuple[object, ...]]:
    """Order, and cut to one row more than the page, so that it can be seen whether there is another.

    Args:
        query: Of an organisation's things.
        at: When each happened.
        name: Tells apart what happened at once.
        page: Its sort key is microseconds and name.
    """
    ordered = query.order_by(at.desc(), name.desc()).limit(page.size + 1)
    if not page.after:
        return ordered
    microseconds, last = page.after
    # Typed by hand: inside a tuple SQLAlchemy does not take the type of the column that it is compared with.
    moment = literal(from_microseconds(int(microseconds)), Instant())
    return ordered.where(tuple_(at, name) < tuple_(moment, literal(str(last))))
