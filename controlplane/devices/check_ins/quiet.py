"""Check-ins that change nothing, and whether one more of them may be answered from memory. Pure.

Nearly every check-in says what the one before said, and is answered that there is nothing new. What that answer rested
on is remembered: the rows that were read, and until when time alone cannot change it. The next check-in is answered
from there if it says the same again; whatever else could change the answer is news (`storage.news`), and forgets it.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from controlplane.devices.fleet.standing import changes_in_contact_at, condition_of
from controlplane.devices.identity.lineage import Shown
from controlplane.devices.model import Device, DeviceReport, DeviceStatus


@dataclass(frozen=True, slots=True)
class Contact:
    """A check-in that changed nothing that anybody asks for, as it was judged when it came.

    Attributes:
        condition: What the device counts as.
        raw: Its report: queue lengths and the like differ from the one before.
        shown: The nonce that it showed last; None: that stays as it is.
    """

    org_id: str
    device_id: str
    at: datetime
    condition: str
    proven_at: datetime | None
    raw: bytes
    shown: Shown | None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a device when it calls.

    Attributes:
        status: Its last report; None: there is none.
        trusted_serial: Of the entitlement it trusted then.
        condition: What it counts as; None: it is not counted.
    """

    device: Device
    status: DeviceStatus | None
    trusted_serial: int | None
    condition: str | None


@dataclass(frozen=True, slots=True)
class Said:
    """The words of a check-in, apart from its nonce.

    Attributes:
        status: The report, serialized.
        trusted_serial: Of the entitlement.
        policy: Everything it says of its policy.
    """

    status: bytes
    trusted_serial: int
    policy: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A device that was told that there is nothing new, and what this rests on.

    Attributes:
        known: The rows, as they were read.
        said: What it had said.
        report: The same, read.
        shown: The nonce that it showed last.
        at: When the rows were read.
        until: From when on the answer may be another by time alone.
    """

    known: Known
    said: Said
    report: DeviceReport
    shown: Shown
    at: datetime
    until: datetime


def quiet_contact(
    known: Known, report: DeviceReport, trusted_serial: int, shown: Shown, now: datetime
) -> Contact | None:
    """The contact that a report is, if it says nothing that must be known at once; None: it does.

    What may wait besides the time: when the self-test came back last, and what is only in the raw report.
    """
    before = known.status
    if before is None or before.expired_at is not None or known.trusted_serial != trusted_serial:
        return None
    if report.platform not in {None, known.device.platform}:
        return None
    if (report.proven_at is None) != (before.report.proven_at is None):
        return None
    heard = replace(before.report, proven_at=report.proven_at, platform=report.platform, raw=report.raw)
    if heard != report:
        return None
    condition = condition_of(replace(before, report=heard, last_seen=now), now)
    if condition != known.condition:
        return None
    device = known.device
    return Contact(device.org_id, device.device_id, now, condition, report.proven_at, report.raw, shown)


def same_again(
    told: Told, public_key_sha256: bytes, said: Said, report: DeviceReport, shown: Shown | None, now: datetime
) -> Contact | None:
    """The contact that a check-in is, if the answer is what it was told before; None: the rows have to be asked.

    Args:
        told: What it was told.
        public_key_sha256: Of the key that it proved itself with.
        said: Its words.
        report: The same, read.
        shown: The nonce that it showed last, this contact included; None: two machines call as this device.
        now: Business time.
    """
    if shown is None or not told.at <= now < told.until:
        return None
    if public_key_sha256 != told.known.device.public_key_sha256 or said.policy != told.said.policy:
        return None
    if report is told.report and said.trusted_serial == told.said.trusted_serial:
        # Word for word: judged before, and time alone changes nothing until then, see `turn_of`.
        device, condition = told.known.device, told.known.condition or ""
        return Contact(device.org_id, device.device_id, now, condition, report.proven_at, report.raw, shown)
    return quiet_contact(told.known, report, said.trusted_serial, shown, now)


def turn_of(known: Known, report: DeviceReport, now: datetime) -> datetime | None:
    """When a device that goes on saying this counts as something else; None: never."""
    return None if known.status is None else changes_in_contact_at(replace(known.status, report=report), now)
