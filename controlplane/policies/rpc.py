"""PolicyService on the wire, and the part of a check-in that is about policies."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import grpc

from controlplane.devices.ports import CommandCalls
from controlplane.devices.rpc import MAX_ID_CHARACTERS, MAX_REASON_CHARACTERS
from controlplane.policies.delivery import PolicyDelivery
from controlplane.policies.errors import policy_invalid
from controlplane.policies.model import AT_ONCE, Assignment, Policy, Revision, RolloutState, Selector, Stage
from controlplane.policies.rows import Report
from controlplane.policies.service import MOST_LABELS, Change, DeviceView, PolicyService, Preview, Progress
from controlplane.runtime.fields import harmless_text, invalid, text
from controlplane.runtime.principal import DevicePrincipal, current_person
from controlplane.storage.types import optional_microseconds
from wire.policy_document import PolicyDocument, PolicyDocumentError, read_toml
from wire.v1 import device_pb2, policy_pb2
from wire.v1.policy_pb2_grpc import PolicyServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]

MOST_SELECTORS, MOST_STAGES = 100, 10
LONGEST_SOAK = timedelta(days=30)
HIGHEST_PRIORITY = 1_000
MAX_VERSION_CHARACTERS, MAX_REFUSAL_CHARACTERS = 255, 500
_SHOWN_EFFECTS, _SAMPLE, _SHOWN_REFUSALS, _SHOWN_CHANGES = 50, 10, 50, 100
_MAX_ETAG_CHARACTERS = 64
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)
_LABEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}(?:=[A-Za-z0-9][A-Za-z0-9._-]{0,62})?", re.ASCII)
_EVERYONE_PERCENT = 100

_STATE_ON_THE_WIRE = {state: policy_pb2.RolloutState.Value(f"ROLLOUT_STATE_{state.name}") for state in RolloutState}


class PolicyRpc(PolicyServiceServicer):
    """The servicer of policies, for people."""

    def __init__(self, service: PolicyService) -> None:
        self._service = service

    async def ListPolicies(  # noqa: N802 -- the name is the protocol's
        self, _request: policy_pb2.ListPoliciesRequest, _context: Context
    ) -> policy_pb2.ListPoliciesResponse:
        """Every policy, by name."""
        found, now = await self._service.policies(current_person().org_id), self._service.now()
        return policy_pb2.ListPoliciesResponse(policies=[_policy(policy, now) for policy in found])

    async def GetPolicy(  # noqa: N802 -- the name is the protocol's
        self, request: policy_pb2.GetPolicyRequest, _context: Context
    ) -> policy_pb2.PolicyDetails:
        """One policy and its history."""
        policy, history = await self._service.get(current_person().org_id, read_name(request.name))
        now = self._service.now()
        return policy_pb2.PolicyDetails(
            policy=_policy(policy, now), revisions=[_revision(revision, now) for revision in history]
        )

    async def ApplyPolicy(  # noqa: N802 -- the name is the protocol's
        self, request: policy_pb2.ApplyPolicyRequest, _context: Context
    ) -> policy_pb2.PolicyChange:
        """A new revision with another document, or what it would do."""
        change = Change(
            name=read_name(request.name),
            document=read_document(request.document),
            assignment=read_assignment(request.assignment) if request.HasField("assignment") else None,
            stages=read_stages(request.stages),
            reason=_reason(request.reason),
        )
        return await self._changed(change, request.idempotency_key, preview=request.preview)

    async def AssignPolicy(  # noqa: N802 -- the name is the protocol's
        self, request: policy_pb2.AssignPolicyRequest, _context: Context
    ) -> policy_pb2.PolicyChange:
        """A new revision for other devices, or what it would do."""
        change = Change(
            name=read_name(request.name),
            assignment=read_assignment(request.assignment),
            stages=read_stages(request.stages),
            reason=_reason(request.reason),
        )
        return await self._changed(change, request.idempotency_key, preview=request.preview)

    async def _changed(self, change: Change, idempotency_key: str, *, preview: bool) -> policy_pb2.PolicyChange:
        person = current_person()
        if preview:
            return _preview(await self._service.preview(person.org_id, change))
        policy = await self._service.change(person, change, idempotency_key)
        return policy_pb2.PolicyChange(policy=_policy(policy, self._service.now()))

    async def RemovePolicy(  # noqa: N802 -- the name is the protocol's
        self, request: policy_pb2.RemovePolicyRequest, _context: Context
    ) -> policy_pb2.PolicyChange:
        """From every device at once, or what that would do."""
        person, name = current_person(), read_name(request.name)
        if request.preview:
            return _preview(await self._service.preview_removal(person.org_id, name))
        await self._service.remove(person, name, _reason(request.reason), request.idempotency_key)
        return policy_pb2.PolicyChange()

    async def GetRollout(  # noqa: N802 -- the name is the protocol's
        self, request: policy_pb2.GetRolloutRequest, _context: Context
    ) -> policy_pb2.PolicyRollout:
        """How far the newest revision is."""
        return _progress(await self._service.rollout(current_person().org_id, read_name(request.name)))

    async def SteerRollout(  # noqa: N802 -- the name is the protocol's
        self, request: policy_pb2.SteerRolloutRequest, _context: Context
    ) -> policy_pb2.PolicyRollout:
        """Pauses or resumes it."""
        steps = {
            policy_pb2.ROLLOUT_STEP_PAUSE: self._service.pause,
            policy_pb2.ROLLOUT_STEP_RESUME: self._service.resume,
        }
        if request.step not in steps:
            raise invalid("step", "is none that a rollout can take")
        return _progress(await steps[request.step](current_person(), read_name(request.name)))

    async def GetDevicePolicy(  # noqa: N802 -- the name is the protocol's
        self, request: policy_pb2.GetDevicePolicyRequest, _context: Context
    ) -> policy_pb2.DevicePolicyView:
        """What a device should have, and what it says it has."""
        return _view(await self._service.device(current_person().org_id, _device_id(request.device_id)))

    async def SetDeviceLabels(  # noqa: N802 -- the name is the protocol's
        self, request: policy_pb2.SetDeviceLabelsRequest, _context: Context
    ) -> policy_pb2.DevicePolicyView:
        """Gives a device labels and takes others from it."""
        view = await self._service.set_labels(
            current_person(),
            _device_id(request.device_id),
            add=read_labels("add", request.add),
            remove=read_labels("remove", request.remove),
            idempotency_key=request.idempotency_key,
        )
        return _view(view)


class PolicyExchangeRpc:
    """Implements `devices.ports.CheckInCalls`: commands, and beside them the policy.

    Args:
        commands: Answers about commands.
        delivery: Knows which policy a device should have.
    """

    def __init__(self, commands: CommandCalls, delivery: PolicyDelivery) -> None:
        self._commands = commands
        self._delivery = delivery

    async def exchange(
        self, request: device_pb2.CheckInRequest, principal: DevicePrincipal
    ) -> device_pb2.CheckInResponse:
        """The policy is set only if it is another one than the device names."""
        answer = await self._commands.exchange(request, principal)
        report = Report(
            desired=harmless_text(request.status.policy_version_desired, limit=MAX_VERSION_CHARACTERS),
            applied=harmless_text(request.status.policy_version_applied, limit=MAX_VERSION_CHARACTERS),
            refusal=harmless_text(request.status.policy_refusal, limit=MAX_REFUSAL_CHARACTERS),
        )
        wanted = await self._delivery.answer(principal, request.policy_etag[:_MAX_ETAG_CHARACTERS], report)
        if wanted is not None:
            answer.policy.etag, answer.policy.version = wanted.etag, wanted.version
            answer.policy.document = wanted.document.canonical()
        return answer

    def turn_of(self, org_id: str) -> datetime | None:
        """When a rollout comes to its next stage."""
        return self._delivery.turn_of(org_id)


# ---------------------------------------------------------------- reading


def read_name(untrusted_name: str) -> str:
    """The name of a policy.

    Raises:
        Refusal: `INVALID_REQUEST`.
    """
    if not _NAME.fullmatch(untrusted_name):
        raise invalid("name", "is not 1 to 40 lower-case letters, digits, `-` and `_`, beginning with none of the two")
    return untrusted_name


def read_document(untrusted_source: str) -> PolicyDocument:
    """What a person wrote.

    Raises:
        Refusal: `POLICY_INVALID`, naming the key.
    """
    try:
        return read_toml(untrusted_source)
    except PolicyDocumentError as error:
        key = harmless_text(error.key, limit=MAX_ID_CHARACTERS)
        raise policy_invalid(key, harmless_text(error.why, limit=MAX_REFUSAL_CHARACTERS)) from error


def read_labels(field: str, untrusted_labels: Iterable[str]) -> frozenset[str]:
    """Labels of devices, like `server` or `site=berlin`.

    Raises:
        Refusal: `INVALID_REQUEST`.
    """
    labels = frozenset(untrusted_labels)
    if len(labels) > MOST_LABELS:
        raise invalid(field, f"has more than {MOST_LABELS} entries")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise invalid(field, "names a label that is not written like `server` or `site=berlin`")
    return labels


def read_assignment(untrusted: policy_pb2.PolicyAssignment) -> Assignment:
    """For whom a policy is.

    Raises:
        Refusal: `INVALID_REQUEST`.
    """
    if len(untrusted.selectors) > MOST_SELECTORS:
        raise invalid("assignment.selectors", f"has more than {MOST_SELECTORS} entries")
    if abs(untrusted.priority) > HIGHEST_PRIORITY:
        raise invalid("assignment.priority", f"is not between -{HIGHEST_PRIORITY} and {HIGHEST_PRIORITY}")
    selectors = {_selector(selector) for selector in untrusted.selectors}
    return Assignment(
        tuple(sorted(selectors, key=lambda each: (each.device_id, sorted(each.labels)))), untrusted.priority
    )


def _selector(untrusted: policy_pb2.PolicySelector) -> Selector:
    if [untrusted.everyone, bool(untrusted.labels), bool(untrusted.device_id)].count(True) != 1:
        raise invalid("assignment.selectors", "has one that is not exactly one of everyone, labels and device_id")
    if untrusted.device_id:
        return Selector(device_id=_device_id(untrusted.device_id))
    return Selector(labels=read_labels("assignment.selectors.labels", untrusted.labels))


def read_stages(untrusted: Sequence[policy_pb2.RolloutStage]) -> tuple[Stage, ...]:
    """The stages of a rollout; none: everyone at once.

    Raises:
        Refusal: `INVALID_REQUEST`.
    """
    if not untrusted:
        return AT_ONCE
    percents = [stage.percent for stage in untrusted]
    if len(untrusted) > MOST_STAGES:
        raise invalid("stages", f"has more than {MOST_STAGES} entries")
    if percents[-1] != _EVERYONE_PERCENT or percents[0] < 1 or sorted(set(percents)) != percents:
        raise invalid("stages", "are not percentages that rise from at least 1 to 100")
    if any(stage.soak_s > LONGEST_SOAK.total_seconds() for stage in untrusted):
        raise invalid("stages", f"has one that lasts longer than {LONGEST_SOAK.days} days")
    return tuple(Stage(stage.percent, timedelta(seconds=stage.soak_s)) for stage in untrusted)


def _reason(untrusted_reason: str) -> str:
    return text("reason", untrusted_reason, limit=MAX_REASON_CHARACTERS)


def _device_id(untrusted_id: str) -> str:
    return text("device_id", untrusted_id, limit=MAX_ID_CHARACTERS, required=True)


# ---------------------------------------------------------------- answering


def _policy(policy: Policy, now: datetime) -> policy_pb2.Policy:
    return policy_pb2.Policy(name=policy.newest.name, newest=_revision(policy.newest, now))


def _revision(revision: Revision, now: datetime) -> policy_pb2.PolicyRevision:
    document = revision.document.canonical()
    return policy_pb2.PolicyRevision(
        revision=revision.number,
        document=document,
        sha256=hashlib.sha256(document).hexdigest(),
        assignment=_assignment(revision.assignment),
        author=revision.author,
        reason=revision.reason,
        made_at_us=optional_microseconds(revision.made_at),
        stages=[
            policy_pb2.RolloutStage(percent=stage.percent, soak_s=int(stage.soak.total_seconds()))
            for stage in revision.rollout.stages
        ],
        rollout=_STATE_ON_THE_WIRE[revision.rollout.state(now)],
        percent=revision.rollout.percent(now),
    )


def _assignment(assignment: Assignment) -> policy_pb2.PolicyAssignment:
    selectors = [
        policy_pb2.PolicySelector(
            everyone=not selector.device_id and not selector.labels,
            labels=sorted(selector.labels),
            device_id=selector.device_id,
        )
        for selector in assignment.selectors
    ]
    return policy_pb2.PolicyAssignment(selectors=selectors, priority=assignment.priority)


def _preview(preview: Preview) -> policy_pb2.PolicyChange:
    return policy_pb2.PolicyChange(
        effects=[
            policy_pb2.PolicyEffect(
                changes=effect.changes[:_SHOWN_CHANGES],
                devices=len(effect.device_ids),
                sample=[
                    policy_pb2.PolicyEffectDevice(device_id=device_id, name=preview.names[device_id])
                    for device_id in effect.device_ids[:_SAMPLE]
                ],
            )
            for effect in preview.effects[:_SHOWN_EFFECTS]
        ],
        devices_changed=sum(len(effect.device_ids) for effect in preview.effects),
        devices=preview.devices,
    )


def _progress(progress: Progress) -> policy_pb2.PolicyRollout:
    next_stage_at = progress.policy.newest.rollout.next_stage_at(progress.now)
    return policy_pb2.PolicyRollout(
        policy=_policy(progress.policy, progress.now),
        selected=progress.selected,
        reached=progress.reached,
        applied=progress.applied,
        refused=len(progress.refusals),
        refusals=[
            policy_pb2.PolicyRefusal(device_id=device_id, reason=reason)
            for device_id, reason in sorted(progress.refusals.items())[:_SHOWN_REFUSALS]
        ],
        next_stage_at_us=optional_microseconds(next_stage_at),
    )


def _view(view: DeviceView) -> policy_pb2.DevicePolicyView:
    return policy_pb2.DevicePolicyView(
        device_id=view.device_id,
        labels=sorted(view.labels),
        desired=view.desired.version,
        applied=view.report.applied,
        refusal=view.report.refusal,
        document=view.desired.document.canonical(),
    )
