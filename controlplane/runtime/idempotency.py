"""Requests that may be repeated: the first answer is stored with the change itself and returned again.

The row is claimed by its primary key before anything else happens, in the transaction of the change. A second caller
with the same key waits for that transaction (both databases make it), then finds the answer, or, if the first one
failed and left no trace, does the work itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.runtime.parts_hash import parts_sha256
from controlplane.runtime.refusal import Kind, Refusal
from controlplane.runtime.tables import idempotent_requests
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into

MIN_KEY_CHARACTERS = 8
MAX_KEY_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """What makes two requests the same one.

    Attributes:
        org_id: The tenant.
        caller: Who asks, as the audit names them.
        method: What is asked, e.g. `subscriptions.renew`.
        key: Chosen by the caller, 8 to 64 characters.
    """

    org_id: str
    caller: str
    method: str
    key: str


def request_hash(parts: Sequence[str]) -> bytes:
    """SHA-256 over the parts of a request; no two requests look alike."""
    return parts_sha256(parts)


async def claim(uow: UnitOfWork, request: RequestKey, request_sha256: bytes, now: datetime) -> bytes | None:
    """Claim a request, or find the answer it got.

    Args:
        uow: The transaction that will make the change.
        request: Which request.
        request_sha256: `request_hash` of everything that decides its outcome.
        now: Business time, for retention.

    Returns:
        None: the caller does the work and calls `remember`; else the answer of the first time.

    Raises:
        Refusal: IDEMPOTENCY_KEY_INVALID, or IDEMPOTENCY_MISMATCH: the key was used for another request.
    """
    check_key(request.key)
    inserted = await uow.connection.execute(
        insert_into(uow.connection, idempotent_requests)
        .values(**_identity(request), request_sha256=request_sha256, created_at=now)
        .on_conflict_do_nothing()
        .returning(idempotent_requests.c.created_at)
    )
    if inserted.first() is not None:
        return None
    response = await answer_of(uow.connection, request, request_sha256)
    assert response is not None, "a committed request carries its answer"
    return response


async def answer_of(connection: AsyncConnection, request: RequestKey, request_sha256: bytes) -> bytes | None:
    """The answer that a request got; None: it was never asked, or is being answered.

    For work that has to be done before the transaction that claims the request.

    Raises:
        Refusal: IDEMPOTENCY_KEY_INVALID, or IDEMPOTENCY_MISMATCH: the key was used for another request.
    """
    check_key(request.key)
    columns = idempotent_requests.c
    found = await connection.execute(select(columns.request_sha256, columns.response).where(*_matching(request)))
    row = found.one_or_none()
    if row is None:
        return None
    if row.request_sha256 != request_sha256:
        raise Refusal(
            Kind.PRECONDITION,
            "IDEMPOTENCY_MISMATCH",
            "this idempotency key was used for another request",
            "Use a new key for a new request",
        )
    return None if row.response is None else bytes(row.response)


async def remember(uow: UnitOfWork, request: RequestKey, response: bytes) -> None:
    """Store the answer of a request claimed in this transaction."""
    await uow.connection.execute(update(idempotent_requests).where(*_matching(request)).values(response=response))


def check_key(untrusted_key: str) -> None:
    """Whether a caller's key can name a request.

    Raises:
        Refusal: IDEMPOTENCY_KEY_INVALID.
    """
    if not MIN_KEY_CHARACTERS <= len(untrusted_key) <= MAX_KEY_CHARACTERS or not untrusted_key.isprintable():
        raise Refusal(
            Kind.INVALID,
            "IDEMPOTENCY_KEY_INVALID",
            f"an idempotency key has {MIN_KEY_CHARACTERS} to {MAX_KEY_CHARACTERS} printable characters",
            "Choose a random key per intention and repeat it only for retries",
        )


def _identity(request: RequestKey) -> dict[str, str]:
    return {
        "org_id": request.org_id,
        "caller": request.caller,
        "method": request.method,
        "idempotency_key": request.key,
    }


def _matching(request: RequestKey) -> list[ColumnElement[bool]]:
    columns = idempotent_requests.c
    return [columns[name] == value for name, value in _identity(request).items()]
