"""A check-in on the wire: from memory if the device says what it said before, else from the rows."""

from collections.abc import Callable
from functools import partial
from typing import Final

from controlplane.devices.check_ins.quiet import Said
from controlplane.devices.check_ins.remembered import Remembered
from controlplane.devices.check_ins.service import CheckedIn, CheckIns
from controlplane.devices.ports import CheckInCalls
from controlplane.devices.reading import read_report, read_serial
from controlplane.runtime.principal import DevicePrincipal
from controlplane.storage.types import to_microseconds
from wire.v1 import device_pb2

#: Seconds between check-ins of a device whose stream is relied on; well below `devices.model.OFFLINE_AFTER`.
SELDOM_S: Final = 600


class Pace:
    """How soon devices should check in again.

    Args:
        interval_s: Usually, in seconds.
        rely_on: Whether the stream of a device takes the place of its check-ins from now on.
    """

    def __init__(self, interval_s: int, rely_on: Callable[[DevicePrincipal], bool] = lambda _: False) -> None:
        self._interval_s = interval_s
        self._rely_on = rely_on

    def set_in(self, answer: device_pb2.CheckInResponse, principal: DevicePrincipal, *, quiet: bool) -> None:
        """Tell a device.

        Args:
            answer: Where.
            principal: Whom.
            quiet: There was nothing new on either side.
        """
        answer.check_in_interval_s = self._interval_s
        if quiet and self._interval_s < SELDOM_S and self._rely_on(principal):
            answer.check_in_interval_s = SELDOM_S
            answer.relies_on_stream = True


class CheckInDesk:
    """Answers check-ins.

    Args:
        remembered: Answers from memory.
        check_ins: Takes what devices say about themselves.
        commands: The part that belongs to commands and policies.
        pace: How soon devices should call again.
    """

    def __init__(self, *, remembered: Remembered, check_ins: CheckIns, commands: CheckInCalls, pace: Pace) -> None:
        self._remembered = remembered
        self._check_ins = check_ins
        self._commands = commands
        self._pace = pace

    async def answer(
        self, request: device_pb2.CheckInRequest, principal: DevicePrincipal
    ) -> device_pb2.CheckInResponse:
        """Keep what the device says; tell it whether its entitlement changed, and what it should do.

        Raises:
            Refusal: `INVALID_REQUEST`, or as `CheckIns.take`.
        """
        nonce = request.contact_nonce if request.HasField("contact_nonce") else None
        said = _said(request)
        if not request.command_reports:
            again = await self._remembered.again(principal, said, partial(read_report, request.status), nonce)
            if again is not None:
                return self._answered(device_pb2.CheckInResponse(), again, principal, quiet=True)
        with self._remembered.looking(principal) as look:
            report = read_report(request.status)
            serial = read_serial("entitlement_serial", request.entitlement_serial)
            checked_in = await self._check_ins.take(principal, report, serial, nonce)
            answer = await self._commands.exchange(request, principal)
            # What is told again and again until something happens is not remembered: only silence is.
            quiet = not answer.ByteSize() and checked_in.quiet is not None
            if quiet:
                turn = self._commands.turn_of(principal.org_id)
                self._remembered.remember(look, checked_in, said, report, turn)
        return self._answered(answer, checked_in, principal, quiet=quiet)

    def _answered(
        self, answer: device_pb2.CheckInResponse, checked_in: CheckedIn, principal: DevicePrincipal, *, quiet: bool
    ) -> device_pb2.CheckInResponse:
        answer.server_time_at_us = to_microseconds(checked_in.now)
        answer.entitlement_changed = checked_in.entitlement_changed
        self._pace.set_in(answer, principal, quiet=quiet)
        answer.next_contact_nonce = checked_in.next_nonce
        return answer


def _said(untrusted: device_pb2.CheckInRequest) -> Said:
    """Its words, as they came: compared with others of the same device, and nothing else."""
    status = untrusted.status
    policy = (
        untrusted.policy_etag,
        status.policy_version_desired,
        status.policy_version_applied,
        status.policy_refusal,
    )
    return Said(status.SerializeToString(), untrusted.entitlement_serial, policy)
