"""Lists that come in pages, followed as far as somebody wants to read."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from controlplane.cli.ctl.output import note
from wire.v1.common_pb2 import PageRequest

PAGE_SIZE = 100


def answers(ask: Callable[[PageRequest], Any], page_size: int = PAGE_SIZE) -> Iterator[Any]:
    """Every page of a list, each asked for when it is wanted, so that memory stays flat.

    Args:
        ask: Gets one page.
        page_size: Rows of a page.
    """
    token = ""
    while True:
        answer = ask(PageRequest(page_size=page_size, page_token=token))
        yield answer
        token = answer.next_page_token
        if not token:
            return


def first_rows(
    ask: Callable[[PageRequest], Any], rows_of: Callable[[Any], Iterable[dict[str, Any]]], limit: int
) -> list[dict[str, Any]]:
    """The first rows of a list; says on standard error if there are more.

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
            break
    if token:
        note(f"there are more than {limit}: use --limit")
    return found
