from typing import TYPE_CHECKING, Any

import pytest

from controlplane.detections.reading import MAX_FINDINGS, MAX_PATH_BYTES, read_incident
from controlplane.detections.rpc import DetectionRpc
from controlplane.runtime.refusal import Refusal
from tests.fakes.world import World, principal_of
from wire.v1 import common_pb2, device_pb2, fleet_pb2

if TYPE_CHECKING:
    from collections.abc import Callable


def incident(**changes: Any) -> device_pb2.Incident:
    message = device_pb2.Incident(
        uuid=bytes(16),
        detected_at_us=1_700_000_000_000_000,
        path=b"/home/anna/file",
        sha256="a" * 64,
        size_bytes=68,
        findings=[device_pb2.Finding(rule="Test_File", namespace="default", severity="high")],
        action=device_pb2.INCIDENT_ACTION_QUARANTINED,
        origin="real_time",
        engine="yara",
        signatures_version="1",
        quarantine_id="q1",
    )
    # The stubs list field names as literals; which of them a test changes is its parameter.
    clear: Callable[[Any], None] = message.ClearField
    for name in changes:
        clear(name)
    message.MergeFrom(device_pb2.Incident(**changes))
    return message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uuid", b"short"),
        ("detected_at_us", 0),
        ("detected_at_us", -1),
        ("detected_at_us", 2**62),
        ("path", b""),
        ("path", b"x" * (MAX_PATH_BYTES + 1)),
        ("sha256", "A" * 64),
        ("size_bytes", 2**64 - 1),
        ("action", 0),
        ("action", 99),
        ("origin", "elsewhere"),
        ("findings", []),
        ("findings", [device_pb2.Finding(rule="r", severity="high")] * (MAX_FINDINGS + 1)),
        ("findings", [device_pb2.Finding(rule="", severity="high")]),
        ("findings", [device_pb2.Finding(rule="r", severity="dreadful")]),
        ("findings", [device_pb2.Finding(rule="r", severity="low", member_path=["x"] * 33)]),
        ("quarantine_id", "a\x00b"),
    ],
)
def test_a_malformed_incident_is_refused_with_the_field_that_is_wrong(field: str, value: object) -> None:
    with pytest.raises(Refusal) as caught:
        read_incident(incident(**{field: value}))
    assert caught.value.facts["field"].startswith(field)


def test_texts_of_a_device_are_made_harmless() -> None:
    finding = device_pb2.Finding(rule="a\x1b[31m", severity="info", member_path=["x\x00y"], threat_name="\u009b")
    read = read_incident(incident(findings=[finding], action_detail="a\nb"))
    assert read.action_detail == "a\ufffdb"
    assert (read.findings[0].rule, read.findings[0].member_path, read.findings[0].threat_name) == (
        "a\ufffd[31m",
        ("x\ufffdy",),
        "\ufffd",
    )


async def test_malformed_incidents_are_set_aside_one_by_one(world: World) -> None:
    device = principal_of(await world.activate(await world.customer()))
    rpc = DetectionRpc(world.detections)
    good, other = incident(), incident(uuid=b"\x01" * 16)
    bad = incident(uuid=b"\x02" * 16, origin="elsewhere")
    answer = await rpc.report_events(device_pb2.ReportEventsRequest(incidents=[good, bad, other, good]), device)
    assert list(answer.accepted_uuids) == [good.uuid, other.uuid]
    assert [(rejected.uuid, "origin" in rejected.reason) for rejected in answer.rejected] == [(bad.uuid, True)]
    listed = await rpc.list_detections(fleet_pb2.ListDetectionsRequest(), device.org_id)
    assert {detection.incident.uuid for detection in listed.detections} == {good.uuid, other.uuid}
    assert listed.detections[0].incident == (other if listed.detections[0].incident.uuid == other.uuid else good)


async def test_too_many_incidents_are_refused_before_any_is_read(world: World) -> None:
    device = principal_of(await world.activate(await world.customer()))
    request = device_pb2.ReportEventsRequest(incidents=[device_pb2.Incident()] * 201)
    with pytest.raises(Refusal) as caught:
        await DetectionRpc(world.detections).report_events(request, device)
    assert caught.value.reason == "TOO_MANY_INCIDENTS"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (fleet_pb2.ListDetectionsRequest(page=common_pb2.PageRequest(page_size=501)), "PAGE_SIZE_INVALID"),
        (fleet_pb2.ListDetectionsRequest(page=common_pb2.PageRequest(page_token="!")), "PAGE_TOKEN_INVALID"),
        (fleet_pb2.ListDetectionsRequest(page=common_pb2.PageRequest(page_token="WzEsMl0=")), "PAGE_TOKEN_INVALID"),
        (fleet_pb2.ListDetectionsRequest(since_at_us=-1), "INVALID_REQUEST"),
        (fleet_pb2.ListDetectionsRequest(device_id="x" * 300), "INVALID_REQUEST"),
    ],
)
async def test_lists_refuse_what_they_cannot_understand(
    world: World, request_: fleet_pb2.ListDetectionsRequest, reason: str
) -> None:
    with pytest.raises(Refusal) as caught:
        await DetectionRpc(world.detections).list_detections(request_, "org_x")
    assert caught.value.reason == reason


async def test_a_uuid_of_another_length_is_refused(world: World) -> None:
    with pytest.raises(Refusal) as caught:
        await DetectionRpc(world.detections).get_detection(fleet_pb2.GetDetectionRequest(uuid=b"x"), "org_x")
    assert caught.value.reason == "INVALID_REQUEST"
