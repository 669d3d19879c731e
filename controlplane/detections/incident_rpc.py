"""IncidentService on the wire: validate, call one use case, translate."""

from typing import Any

import grpc

from controlplane.detections.incidents import INCIDENT_KEY, Incidents, IncidentView
from controlplane.detections.model import IncidentStatus
from controlplane.runtime.fields import invalid, text
from controlplane.runtime.paging import page_token, read_page
from controlplane.runtime.principal import current_person
from controlplane.storage.types import to_microseconds
from wire.v1 import incident_pb2
from wire.v1.incident_pb2_grpc import IncidentServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]

MAX_NOTE_CHARACTERS = 500
_MAX_ID_CHARACTERS = 96
_STATUS_ON_THE_WIRE = {
    status: incident_pb2.IncidentStatus.Value(f"INCIDENT_STATUS_{status.name}") for status in IncidentStatus
}
_STATUS_FROM_THE_WIRE = {number: status for status, number in _STATUS_ON_THE_WIRE.items()}


class IncidentRpc(IncidentServiceServicer):
    """The servicer of incidents."""

    def __init__(self, incidents: Incidents) -> None:
        self._incidents = incidents

    async def ListIncidents(  # noqa: N802 -- the name is the protocol's
        self, request: incident_pb2.ListIncidentsRequest, _context: Context
    ) -> incident_pb2.ListIncidentsResponse:
        """Incidents, a page at a time."""
        page = read_page(request.page.page_size, request.page.page_token, INCIDENT_KEY)
        statuses = {_read_status(number) for number in request.statuses}
        found = await self._incidents.page(current_person().org_id, page, statuses)
        return incident_pb2.ListIncidentsResponse(
            incidents=[_record(view) for view in found.views],
            next_page_token=page_token(found.next_key) if found.next_key else "",
        )

    async def GetIncident(  # noqa: N802 -- the name is the protocol's
        self, request: incident_pb2.GetIncidentRequest, _context: Context
    ) -> incident_pb2.IncidentRecord:
        """One incident, with its devices."""
        incident_id = text("incident_id", request.incident_id, limit=_MAX_ID_CHARACTERS, required=True)
        return _record(await self._incidents.get(current_person().org_id, incident_id))

    async def SetIncidentStatus(  # noqa: N802 -- the name is the protocol's
        self, request: incident_pb2.SetIncidentStatusRequest, _context: Context
    ) -> incident_pb2.IncidentRecord:
        """Judges an incident."""
        incident_id = text("incident_id", request.incident_id, limit=_MAX_ID_CHARACTERS, required=True)
        note = text("note", request.note, limit=MAX_NOTE_CHARACTERS)
        status = _read_status(request.status)
        return _record(await self._incidents.set_status(current_person(), incident_id, status, note))


def _read_status(number: incident_pb2.IncidentStatus.ValueType) -> IncidentStatus:
    if number not in _STATUS_FROM_THE_WIRE:
        raise invalid("status", "is not a status of incidents")
    return _STATUS_FROM_THE_WIRE[number]


def _record(view: IncidentView) -> incident_pb2.IncidentRecord:
    incident = view.incident
    return incident_pb2.IncidentRecord(
        incident_id=incident.incident_id,
        threat=incident.threat,
        severity=incident.severity,
        status=_STATUS_ON_THE_WIRE[incident.status],
        status_by=incident.status_by,
        status_at_us=to_microseconds(incident.status_at),
        note=incident.note,
        opened_at_us=to_microseconds(incident.opened_at),
        last_at_us=to_microseconds(incident.last_at),
        devices=view.devices,
        detections=view.detections,
        reopened=incident.reopened,
        on=[
            incident_pb2.IncidentDevice(
                device_id=each.device_id,
                device_name=each.device_name,
                detections=each.detections,
                first_at_us=to_microseconds(each.first_at),
                last_at_us=to_microseconds(each.last_at),
            )
            for each in view.on
        ],
    )
