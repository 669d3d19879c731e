"""Lists that come in pages, followed as far as somebody wants to read."""

from collections.abc import Callable, Iterable
from typing import Any

from wire.v1.common_pb2 import PageRequest

PAGE_SIZE = 100


def first_rows(
    ask: Callable[[PageRequest], Any], rows_of: Callable[[Any], Iterable[dict[str, Any]]], limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """The first rows of a list, and whether there are more.

    Args:
        ask: Gets one page.
        rows_of: Takes the rows out of an answer.
        limit: At most so many rows.
    """
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        answer = ask(PageRequest(page_size=min(limit - len(found), PAGE_SIZE), page_token=token))
        found.extend(rows_of(answer))
        token = answer.next_page_token
        if not token or len(found) >= limit:
            return found, bool(token)
