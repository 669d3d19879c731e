"""First answers to requests that may be repeated, as they are remembered: JSON, and never a secret."""

import json
from collections.abc import Mapping
from datetime import datetime

from controlplane.runtime.idempotency import RequestKey, claim, remember, request_hash
from controlplane.runtime.principal import PersonPrincipal
from controlplane.storage.database import UnitOfWork


class Repeatable:
    """One request of a person that changes something, made once however often it is sent.

    Args:
        person: Who asks.
        method: What, e.g. `licensing.release_seat`.
        key: Chosen by the caller.
        parts: Everything that decides the outcome.
    """

    def __init__(self, person: PersonPrincipal, method: str, key: str, *parts: str) -> None:
        self._request = RequestKey(org_id=person.org_id, caller=person.actor, method=method, key=key)
        self._sha256 = request_hash(parts)

    async def answered(self, uow: UnitOfWork, now: datetime) -> Mapping[str, str] | None:
        """The first answer; None: this is the first time, and `remember` follows in this transaction.

        Raises:
            Refusal: IDEMPOTENCY_KEY_INVALID or IDEMPOTENCY_MISMATCH.
        """
        found = await claim(uow, self._request, self._sha256, now)
        if found is None:
            return None
        answer: Mapping[str, str] = json.loads(found)
        return answer

    async def remember(self, uow: UnitOfWork, **answer: str) -> None:
        """Store the answer."""
        await remember(uow, self._request, json.dumps(answer, sort_keys=True).encode())
