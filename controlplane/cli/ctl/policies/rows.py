"""Policies as plain rows, and as people see them."""

import json
from collections.abc import Iterable
from typing import Any

from controlplane.cli.ctl.output import Output, note, say, say_json
from controlplane.cli.ctl.views import moment
from controlplane.cli.visible import visible
from wire.v1 import policy_pb2


def policy_row(policy: policy_pb2.Policy) -> dict[str, Any]:
    """A policy with its newest revision."""
    return {"name": policy.name, **revision_row(policy.newest)}


def revision_row(revision: policy_pb2.PolicyRevision) -> dict[str, Any]:
    """One revision."""
    return {
        "revision": revision.revision,
        "for": [_selector(selector) for selector in revision.assignment.selectors],
        "priority": revision.assignment.priority,
        "rollout": _short(policy_pb2.RolloutState.Name(revision.rollout)),
        "percent": revision.percent,
        "stages": [{"percent": stage.percent, "soak_s": stage.soak_s} for stage in revision.stages],
        "made_at": moment(revision.made_at_us),
        "author": revision.author,
        "reason": revision.reason,
        "sha256": revision.sha256,
        "document": json.loads(revision.document),
    }


def rollout_row(rollout: policy_pb2.PolicyRollout) -> dict[str, Any]:
    """How far the newest revision is."""
    newest = revision_row(rollout.policy.newest)
    return {
        "name": rollout.policy.name,
        **{name: newest[name] for name in ("revision", "rollout", "percent", "stages")},
        "next_stage_at": moment(rollout.next_stage_at_us),
        "selected": rollout.selected,
        "reached": rollout.reached,
        "applied": rollout.applied,
        "refused": rollout.refused,
        "refusals": [{"device_id": each.device_id, "reason": each.reason} for each in rollout.refusals],
    }


def device_policy_row(view: policy_pb2.DevicePolicyView) -> dict[str, Any]:
    """What a device should have, and what it has."""
    return {
        "device_id": view.device_id,
        "labels": list(view.labels),
        "policy_version_desired": view.desired,
        "policy_version_applied": view.applied,
        "refusal": view.refusal,
        "document": json.loads(view.document),
    }


def preview_row(change: policy_pb2.PolicyChange) -> dict[str, Any]:
    """What a change would do."""
    return {
        "devices": change.devices,
        "devices_changed": change.devices_changed,
        "effects": [
            {
                "changes": list(effect.changes),
                "devices": effect.devices,
                "sample": [{"device_id": each.device_id, "name": each.name} for each in effect.sample],
            }
            for effect in change.effects
        ],
    }


def show_preview(row: dict[str, Any], output: Output) -> None:
    """Tell what a change would do."""
    if output is Output.JSON:
        say_json(row)
        return
    say(f"{row['devices_changed']} of {row['devices']} device(s) would change, once it has reached everyone.")
    for effect in row["effects"]:
        names = ", ".join(each["name"] for each in effect["sample"])
        more = effect["devices"] - len(effect["sample"])
        say()
        say(visible(f"{effect['devices']} device(s): {names}" + (f" and {more} more" if more else "")))
        for change in effect["changes"]:
            say(f"  {change}")
    note("this was a preview, nothing was changed")


def document_lines(document: dict[str, Any]) -> Iterable[str]:
    """A document, a line for each thing it sets."""
    for name, value in sorted(document["settings"].items()):
        yield f"{name} = {json.dumps(value)}"
    for exclusion in document["exclusions"]:
        until = f" until {exclusion['expires_at']}" if "expires_at" in exclusion else ""
        yield f"excluded{until}: {exclusion['kind']} {exclusion['value']} ({exclusion['reason']})"


def whom(row: dict[str, Any]) -> str:
    """For whom a revision is."""
    return "; ".join(row["for"]) or "nobody"


def _selector(selector: policy_pb2.PolicySelector) -> str:
    if selector.everyone:
        return "everyone"
    return f"device {selector.device_id}" if selector.device_id else f"label {','.join(selector.labels)}"


def _short(name: str) -> str:
    return name.removeprefix("ROLLOUT_STATE_").lower()
