"""A report of a device on its way through a buffer: whose it is, proved by our own seal, and what it says.

Whoever can write to the buffer can write anything; whoever can read there must not read what customers have on their
disks. So a report is encrypted for exactly the device that sent it, and read again as if it came from a stranger.
"""

import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from google.protobuf.message import DecodeError

from controlplane.accounts.ports import Sealer
from controlplane.detections.errors import report_unreadable, too_many_incidents
from controlplane.detections.model import MAX_INCIDENTS, ReportedIncident
from controlplane.detections.reading import incident_message, read_dropped, read_incident
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.retries import Retries
from controlplane.storage.types import from_microseconds, to_microseconds
from wire.v1 import device_pb2

_VERSION: Final = 1
#: Ids are shorter.
_MAX_ID: Final = 64
#: Around the incidents of one message: whose, seal and lengths.
_AROUND_BYTES: Final = 1_000
#: A failure that is the report's own.
_OWN: Final = Retries(first=timedelta(seconds=1), longest=timedelta(minutes=1), attempts=5, factor=4)
#: A database that is away or slow.
_AWAY: Final = Retries(first=timedelta(seconds=1), longest=timedelta(seconds=30), attempts=2**62)


@dataclass(frozen=True, slots=True)
class Report:
    """One report.

    Attributes:
        report_id: Names it wherever it is handed out again.
        taken_at: By the wall clock of whoever took it.
    """

    report_id: str
    principal: DevicePrincipal
    taken_at: datetime
    incidents: Sequence[ReportedIncident]
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a report says of itself on the outside; nobody has checked it."""

    report_id: str
    org_id: str
    device_id: str
    public_key: str
    taken_at_us: int

    @property
    def bound_to(self) -> str:
        """What its inside is sealed for: all of it, so that nothing on the outside can be changed."""
        parts = (self.report_id, self.org_id, self.device_id, self.public_key, str(self.taken_at_us))
        return ":".join(("detections", *parts))


def retry_after(attempt: int, *, away: bool) -> timedelta | None:
    """When a report that could not be stored is tried again; None: it is given up.

    Args:
        attempt: How often it was handed out, 1 or more.
        away: The database could not be asked; that is no report's fault, however long it lasts.
    """
    return (_AWAY if away else _OWN).after(attempt)


def split(incidents: Sequence[ReportedIncident], most_bytes: int) -> Sequence[Sequence[ReportedIncident]]:
    """Into parts that fit into one message each, at least one; an incident is never divided."""
    parts: list[list[ReportedIncident]] = [[]]
    room = most_bytes - _AROUND_BYTES
    for incident in incidents:
        # A tag and a length besides.
        size = incident_message(incident).ByteSize() + 8
        if size > room and parts[-1]:
            parts.append([])
            room = most_bytes - _AROUND_BYTES
        parts[-1].append(incident)
        room -= size
    return parts


def pack(report: Report, sealer: Sealer) -> bytes:
    """As it lies in the buffer."""
    claimed = Claimed(
        report.report_id,
        report.principal.org_id,
        report.principal.device_id,
        report.principal.public_key_sha256.hex(),
        to_microseconds(report.taken_at),
    )
    inside = device_pb2.ReportEventsRequest(
        incidents=[incident_message(incident) for incident in report.incidents], dropped=report.dropped
    )
    outside = [_VERSION, claimed.report_id, claimed.org_id, claimed.device_id, claimed.public_key, claimed.taken_at_us]
    return json.dumps(outside).encode() + b"\n" + sealer.seal(inside.SerializeToString(), claimed.bound_to)


def claimed_by(untrusted: bytes) -> Claimed:
    """What a message says of itself.

    Raises:
        Refusal: `REPORT_UNREADABLE`.
    """
    try:
        outside = json.loads(untrusted.partition(b"\n")[0][:_AROUND_BYTES])
    except (ValueError, RecursionError) as error:
        raise report_unreadable() from error
    match outside:
        case [1, str() as report_id, str() as org_id, str() as device_id, str() as key, int() as taken_at_us] if all(
            0 < len(part) <= _MAX_ID for part in (report_id, org_id, device_id, key)
        ):
            return Claimed(report_id, org_id, device_id, key, taken_at_us)
    raise report_unreadable()


def unpack(untrusted: bytes, sealer: Sealer) -> Report:
    """Open and check a report.

    Raises:
        Refusal: `REPORT_UNREADABLE`, `SEAL_BROKEN`, `TOO_MANY_INCIDENTS` or `INVALID_REQUEST`.
    """
    claimed = claimed_by(untrusted)
    opened = sealer.open(untrusted.partition(b"\n")[2], claimed.bound_to)
    try:
        request = device_pb2.ReportEventsRequest.FromString(opened)
        key = binascii.unhexlify(claimed.public_key)
        taken_at = from_microseconds(claimed.taken_at_us)
    except (DecodeError, ValueError, OverflowError) as error:
        raise report_unreadable() from error
    if len(request.incidents) > MAX_INCIDENTS:
        raise too_many_incidents(MAX_INCIDENTS)
    incidents = [read_incident(untrusted_incident) for untrusted_incident in request.incidents]
    principal = DevicePrincipal(claimed.device_id, claimed.org_id, key)
    return Report(claimed.report_id, principal, taken_at, incidents, read_dropped(request))
