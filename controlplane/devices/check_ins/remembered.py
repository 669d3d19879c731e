"""Check-ins that are answered from memory, and what has to be known to do so. No database is waited for here."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

from controlplane.devices.check_ins.freshness import Freshness
from controlplane.devices.check_ins.nonces import ContactNonces
from controlplane.devices.check_ins.quiet import Said, Told, same_again, turn_of
from controlplane.devices.check_ins.recall import Look, RecallBook
from controlplane.devices.check_ins.service import CheckedIn
from controlplane.devices.identity.lineage import followed
from controlplane.devices.model import DeviceReport
from controlplane.runtime.clock import Clock
from controlplane.runtime.principal import DevicePrincipal


class Remembered:
    """Answers devices that say what they said before.

    Args:
        book: What devices were told.
        freshness: Takes the contacts.
        nonces: Tell two machines apart that call as one device.
        is_current: Whether the news of the last seconds have reached the book.
        clock: Business time.
    """

    def __init__(
        self,
        *,
        book: RecallBook,
        freshness: Freshness,
        nonces: ContactNonces,
        is_current: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._book = book
        self._freshness = freshness
        self._nonces = nonces
        self._is_current = is_current
        self._clock = clock
        #: Check-ins that were.
        self.answered = 0

    async def again(
        self, principal: DevicePrincipal, said: Said, read: Callable[[], DeviceReport], untrusted_nonce: bytes | None
    ) -> CheckedIn | None:
        """The answer to a device that says what it said before, and has no news; None: ask the rows.

        Args:
            principal: The device.
            said: Its words.
            read: Reads its report; may refuse it.
            untrusted_nonce: As for `CheckIns.take`.
        """
        org_id, device_id = principal.org_id, principal.device_id
        told = self._book.find(org_id, device_id)
        if told is None or not self._is_current():
            return None
        now = self._clock.now()
        report = told.report if said.status == told.said.status else read()
        shown = followed(told.shown, self._nonces.read(org_id, device_id, untrusted_nonce or b""))
        contact = same_again(told, principal.public_key_sha256, said, report, shown, now)
        if contact is None or shown is None:
            return None
        self._book.keep(org_id, device_id, Told(told.known, said, report, shown, told.at, told.until))
        await self._freshness.note(contact)
        self.answered += 1
        next_nonce = b"" if untrusted_nonce is None else self._nonces.next(org_id, device_id, shown)
        return CheckedIn(now, entitlement_changed=False, next_nonce=next_nonce)

    async def seen(self, principal: DevicePrincipal) -> bool:
        """Take a heartbeat as a contact of a device that says what it said before; False: it has to check in."""
        told = self._book.find(principal.org_id, principal.device_id)
        if told is None or not self._is_current():
            return False
        contact = same_again(told, principal.public_key_sha256, told.said, told.report, told.shown, self._clock.now())
        if contact is None:
            return False
        await self._freshness.note(contact)
        return True

    def looking(self, principal: DevicePrincipal) -> AbstractContextManager[Look]:
        """While the rows of a device are read to answer it."""
        return self._book.looking(principal.org_id, principal.device_id)

    def remember(
        self, look: Look, checked_in: CheckedIn, said: Said, report: DeviceReport, *turns: datetime | None
    ) -> None:
        """Keep in mind that a device was told that there is nothing new.

        Args:
            look: Under which the rows were read.
            checked_in: What was found.
            said: The device's words.
            report: The same, read.
            turns: When time alone may change the rest of the answer; None: never.
        """
        quiet = checked_in.quiet
        if quiet is not None:
            own_turn = turn_of(quiet.known, report, checked_in.now)
            until = self._book.good_until(look.device_id, checked_in.now, quiet.until, own_turn, *turns)
            look.keep(Told(quiet.known, said, report, quiet.shown, checked_in.now, until))
