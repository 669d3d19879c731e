"""`bucklerctl policy`: what your organisation sets on its devices."""

from typing import Annotated, Any

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    Output,
    OutputOption,
    reporting,
    say,
    say_fields,
    say_json,
    say_table,
)
from controlplane.cli.visible import visible

policy = typer.Typer(no_args_is_help=True, help="What your organisation sets on its devices.")
rollout = typer.Typer(no_args_is_help=True, help="How far the newest revision of a policy is; hold it, let it go on.")
policy.add_typer(rollout, name="rollout")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the policy: bucklerctl policy list.")]


@policy.command("list")
def list_policies(config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Policies by name, each with its newest revision."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.policies.rows import policy_row, whom
        from controlplane.cli.ctl.session import load_session
        from wire.v1.policy_pb2 import ListPoliciesRequest
        from wire.v1.policy_pb2_grpc import PolicyServiceStub

        with connected(load_session(config_dir)) as connection:
            answer = connection.call(PolicyServiceStub(connection.channel).ListPolicies, ListPoliciesRequest())
        found = [policy_row(each) for each in answer.policies]
        if output is Output.JSON:
            say_json(found)
        elif not found:
            say("There are no policies: devices do as they are configured.")
        else:
            rows = [
                [each["name"], str(each["revision"]), whom(each), str(each["priority"]), _far(each)] for each in found
            ]
            say_table(["policy", "revision", "for", "priority", "rollout"], rows, whole=["policy"])


@policy.command("show")
def show_policy(name: NameArgument, config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """What a policy sets, for whom it is, and its history."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.policies.rows import policy_row, revision_row
        from controlplane.cli.ctl.session import load_session
        from wire.v1.policy_pb2 import GetPolicyRequest
        from wire.v1.policy_pb2_grpc import PolicyServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = PolicyServiceStub(connection.channel)
            answer = connection.call(stub.GetPolicy, GetPolicyRequest(name=name))
        row = policy_row(answer.policy)
        row["revisions"] = [revision_row(each) for each in answer.revisions]
        if output is Output.JSON:
            say_json(row)
            return
        _show_one(row)


def _show_one(row: dict[str, Any]) -> None:
    from controlplane.cli.ctl.moments import ago
    from controlplane.cli.ctl.policies.rows import document_lines, whom
    from controlplane.runtime.clock import SystemClock

    now = SystemClock().now()
    say_fields(
        {
            "policy": row["name"],
            "revision": str(row["revision"]),
            "for": whom(row),
            "priority": str(row["priority"]),
            "rollout": _far(row),
        }
    )
    say()
    for line in document_lines(row["document"]):
        say(line)
    say()
    rows = [
        [str(each["revision"]), ago(each["made_at"], now), _far(each), whom(each), each["author"], each["reason"]]
        for each in row["revisions"]
    ]
    say_table(["revision", "made", "rollout", "for", "by", "why"], rows)


@policy.command("device")
def show_device_policy(
    device_id: Annotated[str, typer.Argument(metavar="DEVICE", help="Id of the device: bucklerctl device list.")],
    config_dir: ConfigDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """What a device should have, and what it says it has."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.policies.rows import device_policy_row, document_lines
        from controlplane.cli.ctl.session import load_session
        from wire.v1.policy_pb2 import GetDevicePolicyRequest
        from wire.v1.policy_pb2_grpc import PolicyServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = PolicyServiceStub(connection.channel)
            answer = connection.call(stub.GetDevicePolicy, GetDevicePolicyRequest(device_id=device_id))
        row = device_policy_row(answer)
        if output is Output.JSON:
            say_json(row)
            return
        say_fields(
            {
                "device_id": row["device_id"],
                "labels": ", ".join(row["labels"]) or "-",
                "policy_version_desired": row["policy_version_desired"] or "-",
                "policy_version_applied": row["policy_version_applied"] or "-",
                **({"refused": row["refusal"]} if row["refusal"] else {}),
            }
        )
        for line in document_lines(row["document"]):
            say(line)


# ---------------------------------------------------------------- rollouts


@rollout.command("status")
def rollout_status(name: NameArgument, config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """How many devices have the newest revision."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.policy_pb2 import GetRolloutRequest
        from wire.v1.policy_pb2_grpc import PolicyServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = PolicyServiceStub(connection.channel)
            answer = connection.call(stub.GetRollout, GetRolloutRequest(name=name))
        _show_rollout(answer, output)


@rollout.command("pause")
def pause_rollout(name: NameArgument, config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Let it reach nobody else; whom it has reached keeps it."""
    _steer(name, config_dir, "ROLLOUT_STEP_PAUSE", output)


@rollout.command("resume")
def resume_rollout(name: NameArgument, config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Let it go on where it was held."""
    _steer(name, config_dir, "ROLLOUT_STEP_RESUME", output)


def _steer(name: str, config_dir: ConfigDirOption, step: str, output: Output) -> None:
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.policy_pb2 import RolloutStep, SteerRolloutRequest
        from wire.v1.policy_pb2_grpc import PolicyServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = PolicyServiceStub(connection.channel)
            request = SteerRolloutRequest(name=name, step=RolloutStep.Value(step))
            answer = connection.call(stub.SteerRollout, request)
        _show_rollout(answer, output)


def _show_rollout(answer: Any, output: Output) -> None:
    from controlplane.cli.ctl.moments import local
    from controlplane.cli.ctl.policies.rows import rollout_row

    row = rollout_row(answer)
    if output is Output.JSON:
        say_json(row)
        return
    say_fields(
        {
            "policy": f"{row['name']}, revision {row['revision']}",
            "rollout": _far(row),
            **({"next_stage": local(row["next_stage_at"])} if row["next_stage_at"] else {}),
            "devices": f"{row['selected']} that it is for, {row['reached']} reached",
            "applied": str(row["applied"]),
            "refused": str(row["refused"]),
        }
    )
    for refusal in row["refusals"]:
        say(visible(f"  {refusal['device_id']}: {refusal['reason']}"))


def _far(row: dict[str, Any]) -> str:
    return row["rollout"] if row["rollout"] == "complete" else f"{row['rollout']} at {row['percent']}%"
