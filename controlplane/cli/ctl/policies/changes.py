"""`bucklerctl policy apply|assign|remove`: changing what your organisation sets on its devices."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    IdempotencyKeyOption,
    Output,
    OutputOption,
    note,
    reporting,
    say,
    say_json,
    wish_name,
)
from controlplane.cli.ctl.policies.policy import NameArgument, policy

if TYPE_CHECKING:
    from wire.v1.policy_pb2 import PolicyAssignment, PolicyChange, RolloutStage

EveryoneOption = Annotated[bool, typer.Option("--all", help="For every device.")]
LabelOption = Annotated[
    list[str] | None,
    typer.Option("--label", help="For devices with this label; with all of several: a,b. Repeatable."),
]
DeviceOption = Annotated[list[str] | None, typer.Option("--device", help="For this device id; repeatable.")]
PriorityOption = Annotated[
    int, typer.Option("--priority", min=-1_000, max=1_000, help="Among equally specific policies; higher wins.")
]
StagesOption = Annotated[
    str, typer.Option("--stages", help="Shares and how long each lasts: 5:1h,25:1d,100. Left out: everyone at once.")
]
ReasonOption = Annotated[str, typer.Option(help="Why, for the audit.")]
PreviewOption = Annotated[bool, typer.Option("--preview", help="Change nothing; tell which devices would change, how.")]


@policy.command("apply")
def apply_policy(  # noqa: PLR0913 -- options of a command line
    file: Annotated[Path, typer.Argument(help="The document, TOML: docs/policies.md.")],
    config_dir: ConfigDirOption,
    *,
    name: Annotated[str, typer.Option(help="Of the policy. Left out: the name of the file.")] = "",
    everyone: EveryoneOption = False,
    label: LabelOption = None,
    device: DeviceOption = None,
    priority: PriorityOption = 0,
    stages: StagesOption = "",
    reason: ReasonOption = "",
    preview: PreviewOption = False,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Give a policy a new document. Without --all, --label or --device it stays for the devices it was for."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.policy_pb2 import ApplyPolicyRequest
        from wire.v1.policy_pb2_grpc import PolicyServiceStub

        given = everyone or label or device or priority
        request = ApplyPolicyRequest(
            name=name or file.stem,
            document=_read(file),
            assignment=_assignment(label or [], device or [], priority, everyone=everyone) if given else None,
            stages=_stages(stages),
            reason=reason,
            idempotency_key=wish_name(idempotency_key),
            preview=preview,
        )
        with connected(load_session(config_dir)) as connection:
            answer = connection.call(PolicyServiceStub(connection.channel).ApplyPolicy, request)
        _show(answer, output, preview=preview)


@policy.command("assign")
def assign_policy(  # noqa: PLR0913 -- options of a command line
    name: NameArgument,
    config_dir: ConfigDirOption,
    *,
    everyone: EveryoneOption = False,
    label: LabelOption = None,
    device: DeviceOption = None,
    nobody: Annotated[bool, typer.Option("--nobody", help="For no device, until it is assigned again.")] = False,
    priority: PriorityOption = 0,
    stages: StagesOption = "",
    reason: ReasonOption = "",
    preview: PreviewOption = False,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Choose the devices that a policy is for, in place of those it was for."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.runtime.refusal import Kind, Refusal
        from wire.v1.policy_pb2 import AssignPolicyRequest
        from wire.v1.policy_pb2_grpc import PolicyServiceStub

        if nobody == bool(everyone or label or device):
            raise Refusal(
                Kind.INVALID,
                "SELECTOR_MISSING",
                "it is not said for which devices",
                "Use --all, --label or --device, or --nobody alone",
            )
        request = AssignPolicyRequest(
            name=name,
            assignment=_assignment(label or [], device or [], priority, everyone=everyone),
            stages=_stages(stages),
            reason=reason,
            idempotency_key=wish_name(idempotency_key),
            preview=preview,
        )
        with connected(load_session(config_dir)) as connection:
            answer = connection.call(PolicyServiceStub(connection.channel).AssignPolicy, request)
        _show(answer, output, preview=preview)


@policy.command("remove")
def remove_policy(
    name: NameArgument,
    config_dir: ConfigDirOption,
    *,
    reason: ReasonOption = "",
    preview: PreviewOption = False,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Take a policy from every device at once; its history stays."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.policy_pb2 import RemovePolicyRequest
        from wire.v1.policy_pb2_grpc import PolicyServiceStub

        request = RemovePolicyRequest(
            name=name, reason=reason, idempotency_key=wish_name(idempotency_key), preview=preview
        )
        with connected(load_session(config_dir)) as connection:
            answer = connection.call(PolicyServiceStub(connection.channel).RemovePolicy, request)
        if preview:
            _show(answer, output, preview=True)
        elif output is Output.JSON:
            say_json({"name": name, "removed": True})
        else:
            say(f"{name} is removed; devices learn of it at their next contact.")


def _show(answer: "PolicyChange", output: Output, *, preview: bool) -> None:
    from controlplane.cli.ctl.policies.rows import policy_row, preview_row, show_preview, whom

    if preview:
        show_preview(preview_row(answer), output)
        return
    row = policy_row(answer.policy)
    if output is Output.JSON:
        say_json(row)
        return
    say(f"{row['name']} is at revision {row['revision']}, for {whom(row)}; reaching {row['percent']}% of the devices.")
    note(f"see how far it is: bucklerctl policy rollout status {row['name']}")


def _read(file: Path) -> str:
    from controlplane.runtime.refusal import Kind, Refusal

    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8"
        raise Refusal(
            Kind.INVALID, "FILE_UNREADABLE", f"{file} cannot be read: {why}", "Name a readable TOML file"
        ) from error


def _assignment(labels: list[str], devices: list[str], priority: int, *, everyone: bool) -> "PolicyAssignment":
    from wire.v1.policy_pb2 import PolicyAssignment, PolicySelector

    selectors = [PolicySelector(labels=[each.strip() for each in label.split(",")]) for label in labels]
    selectors += [PolicySelector(device_id=device_id) for device_id in devices]
    if everyone:
        selectors.append(PolicySelector(everyone=True))
    return PolicyAssignment(selectors=selectors, priority=priority)


def _stages(text: str) -> "list[RolloutStage]":
    from controlplane.cli.ctl.moments import parse_span
    from controlplane.runtime.refusal import Kind, Refusal
    from wire.v1.policy_pb2 import RolloutStage

    stages = []
    for part in text.split(",") if text else []:
        percent, separator, span = part.strip().partition(":")
        soak = parse_span(span) if separator else None
        share = percent.removesuffix("%")
        if not (share.isascii() and share.isdecimal() and len(share) <= 3) or (separator and soak is None):  # noqa: PLR2004 -- digits of 100
            raise Refusal(Kind.INVALID, "STAGES_INVALID", f"{part!r} is not a stage", "Write them like 5:1h,25:1d,100")
        stages.append(RolloutStage(percent=int(share), soak_s=int(soak.total_seconds()) if soak else 0))
    return stages


__all__ = ["policy"]
