"""A check-in on the wire: from memory if the device says what it said before, else from the rows."""

from functools import partial

from controlplane.devices.check_ins import CheckedIn, CheckIns
from controlplane.devices.ports import CheckInCalls
from controlplane.devices.quiet import Said
from controlplane.devices.reading import read_report, read_serial
from controlplane.devices.remembered import Remembered
from controlplane.runtime.principal import DevicePrincipal
from controlplane.storage.types import to_microseconds
from wire.v1 import device_pb2


class CheckInDesk:
    """Answers check-ins.

    Args:
        remembered: Answers from memory.
        check_ins: Takes what devices say about themselves.
        commands: The part that belongs to commands and policies.
        interval_s: What devices are asked to keep to, in seconds.
    """

    def __init__(self, *, remembered: Remembered, check_ins: CheckIns, commands: CheckInCalls, interval_s: int) -> None:
        self._remembered = remembered
        self._check_ins = check_ins
        self._commands = commands
        self._interval_s = interval_s

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
                return self._answer(device_pb2.CheckInResponse(), again)
        with self._remembered.looking(principal) as look:
            report = read_report(request.status)
            serial = read_serial("entitlement_serial", request.entitlement_serial)
            checked_in = await self._check_ins.take(principal, report, serial, nonce)
            answer = await self._commands.exchange(request, principal)
            # What is told again and again until something happens is not remembered: only silence is.
            if not answer.ByteSize():
                turn = self._commands.turn_of(principal.org_id)
                self._remembered.remember(look, checked_in, said, report, turn)
        return self._answer(answer, checked_in)

    def _answer(self, answer: device_pb2.CheckInResponse, checked_in: CheckedIn) -> device_pb2.CheckInResponse:
        answer.server_time_at_us = to_microseconds(checked_in.now)
        answer.entitlement_changed = checked_in.entitlement_changed
        answer.check_in_interval_s = self._interval_s
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
