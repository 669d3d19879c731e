"""`bucklerctl device label`: labels of devices, by which policies find them."""

from pathlib import Path
from typing import Annotated

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    IdempotencyKeyOption,
    Output,
    OutputOption,
    reporting,
    say,
    say_json,
    wish_name,
)

label = typer.Typer(no_args_is_help=True, help="Labels of a device, by which policies find it.")

DeviceArgument = Annotated[str, typer.Argument(metavar="DEVICE", help="Id of the device: bucklerctl device list.")]
LabelsArgument = Annotated[list[str], typer.Argument(metavar="LABEL…", help="Like server or site=berlin.")]


@label.command("add")
def add_labels(
    device_id: DeviceArgument,
    labels: LabelsArgument,
    config_dir: ConfigDirOption,
    *,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Give a device labels; policies that are for them reach it at its next contact."""
    _change(device_id, config_dir, idempotency_key, output, add=labels, remove=[])


@label.command("remove")
def remove_labels(
    device_id: DeviceArgument,
    labels: LabelsArgument,
    config_dir: ConfigDirOption,
    *,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Take labels from a device."""
    _change(device_id, config_dir, idempotency_key, output, add=[], remove=labels)


def _change(
    device_id: str, config_dir: Path, idempotency_key: str, output: Output, *, add: list[str], remove: list[str]
) -> None:
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.policies.rows import device_policy_row
        from controlplane.cli.ctl.session import load_session
        from wire.v1.policy_pb2 import SetDeviceLabelsRequest
        from wire.v1.policy_pb2_grpc import PolicyServiceStub

        request = SetDeviceLabelsRequest(
            device_id=device_id, add=add, remove=remove, idempotency_key=wish_name(idempotency_key)
        )
        with connected(load_session(config_dir)) as connection:
            row = device_policy_row(connection.call(PolicyServiceStub(connection.channel).SetDeviceLabels, request))
        if output is Output.JSON:
            say_json(row)
            return
        say(f"{row['device_id']} has the labels: {', '.join(row['labels']) or 'none'}.")
        say(f"Its policies: {row['policy_version_desired'] or 'none'}.")
