"""CommandService on the wire, and the part of a check-in that is about commands."""

from collections.abc import Mapping
from typing import Any

import grpc

from controlplane.commands.campaigns import Campaigns, CampaignView, CampaignWish
from controlplane.commands.kinds.register import read_arguments, read_kind
from controlplane.commands.model import REPORTABLE, CampaignState, Command, CommandReport, CommandState
from controlplane.commands.rows import COMMAND_KEY, CommandFilter
from controlplane.commands.service import CommandService, CommandWish, NamedCommand
from controlplane.devices.rpc import MAX_ID_CHARACTERS, MAX_REASON_CHARACTERS
from controlplane.runtime.fields import harmless_text, invalid, text
from controlplane.runtime.paging import page_token, read_page
from controlplane.runtime.principal import DevicePrincipal, current_person
from controlplane.storage.types import optional_microseconds, to_microseconds
from wire.v1 import command_pb2, device_pb2
from wire.v1.command_pb2_grpc import CommandServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]

USUAL_DEVICES_PER_MINUTE, MOST_DEVICES_PER_MINUTE = 60, 10_000
MOST_DEVICES_NAMED = 1_000
MOST_FAILURES = 1_000_000
MAX_REPORTS = 100
_MAX_RESULTS = 32
_MAX_CODE_CHARACTERS = 64
_MAX_MESSAGE_CHARACTERS = 1_000

_STATE_ON_THE_WIRE = {state: command_pb2.CommandState.Value(f"COMMAND_STATE_{state.name}") for state in CommandState}
_STATE_FROM_THE_WIRE = {number: state for state, number in _STATE_ON_THE_WIRE.items()}
_CAMPAIGN_STATE_ON_THE_WIRE = {
    state: command_pb2.CampaignState.Value(f"CAMPAIGN_STATE_{state.name}") for state in CampaignState
}


class CommandRpc(CommandServiceServicer):
    """The servicer of commands, for people.

    Args:
        commands: Single ones.
        campaigns: One for many devices.
    """

    def __init__(self, commands: CommandService, campaigns: Campaigns) -> None:
        self._commands = commands
        self._campaigns = campaigns

    async def RequestCommand(  # noqa: N802 -- the name is the protocol's
        self, request: command_pb2.RequestCommandRequest, _context: Context
    ) -> command_pb2.CommandRecord:
        """Asks a device to do something."""
        device_id = _id("device_id", request.device_id, required=True)
        return _record(await self._commands.request(current_person(), device_id, _wish(request)))

    async def GetCommand(  # noqa: N802 -- the name is the protocol's
        self, request: command_pb2.GetCommandRequest, _context: Context
    ) -> command_pb2.CommandRecord:
        """One command."""
        command_id = _id("command_id", request.command_id, required=True)
        return _record(await self._commands.get(current_person().org_id, command_id))

    async def ListCommands(  # noqa: N802 -- the name is the protocol's
        self, request: command_pb2.ListCommandsRequest, _context: Context
    ) -> command_pb2.ListCommandsResponse:
        """Commands, the newest first, a page at a time."""
        page = read_page(request.page.page_size, request.page.page_token, COMMAND_KEY)
        only = CommandFilter(
            device_id=_id("device_id", request.device_id),
            states=frozenset(_read_state(number) for number in request.states),
            campaign_id=_id("campaign_id", request.campaign_id),
        )
        found = await self._commands.page(current_person().org_id, page, only)
        return command_pb2.ListCommandsResponse(
            commands=[_record(named) for named in found.commands],
            next_page_token=page_token(found.next_key) if found.next_key else "",
        )

    async def CancelCommand(  # noqa: N802 -- the name is the protocol's
        self, request: command_pb2.CancelCommandRequest, _context: Context
    ) -> command_pb2.CommandRecord:
        """Gives a command up."""
        command_id = _id("command_id", request.command_id, required=True)
        return _record(await self._commands.cancel(current_person().org_id, command_id))

    async def RequestCampaign(  # noqa: N802 -- the name is the protocol's
        self, request: command_pb2.RequestCampaignRequest, _context: Context
    ) -> command_pb2.Campaign:
        """Gives many devices the same command."""
        if len(request.device_ids) > MOST_DEVICES_NAMED:
            raise invalid("device_ids", f"names more than {MOST_DEVICES_NAMED} devices")
        if request.devices_per_minute > MOST_DEVICES_PER_MINUTE:
            raise invalid("devices_per_minute", f"is more than {MOST_DEVICES_PER_MINUTE}")
        if request.stop_after_failures > MOST_FAILURES:
            raise invalid("stop_after_failures", f"is more than {MOST_FAILURES}")
        wish = CampaignWish(
            command=_wish(request),
            device_ids=frozenset(_id("device_ids", each, required=True) for each in request.device_ids),
            per_turn=request.devices_per_minute or USUAL_DEVICES_PER_MINUTE,
            stop_after=request.stop_after_failures,
        )
        return _campaign(await self._campaigns.request(current_person(), wish))

    async def GetCampaign(  # noqa: N802 -- the name is the protocol's
        self, request: command_pb2.GetCampaignRequest, _context: Context
    ) -> command_pb2.Campaign:
        """One campaign."""
        campaign_id = _id("campaign_id", request.campaign_id, required=True)
        return _campaign(await self._campaigns.get(current_person().org_id, campaign_id))

    async def ListCampaigns(  # noqa: N802 -- the name is the protocol's
        self, request: command_pb2.ListCampaignsRequest, _context: Context
    ) -> command_pb2.ListCampaignsResponse:
        """Campaigns, the newest first, a page at a time."""
        page = read_page(request.page.page_size, request.page.page_token, COMMAND_KEY)
        found = await self._campaigns.page(current_person().org_id, page)
        return command_pb2.ListCampaignsResponse(
            campaigns=[_campaign(view) for view in found.views],
            next_page_token=page_token(found.next_key) if found.next_key else "",
        )

    async def SteerCampaign(  # noqa: N802 -- the name is the protocol's
        self, request: command_pb2.SteerCampaignRequest, _context: Context
    ) -> command_pb2.Campaign:
        """Pauses, resumes or stops a campaign."""
        steps = {
            command_pb2.CAMPAIGN_STEP_PAUSE: self._campaigns.pause,
            command_pb2.CAMPAIGN_STEP_RESUME: self._campaigns.resume,
            command_pb2.CAMPAIGN_STEP_STOP: self._campaigns.stop,
        }
        if request.step not in steps:
            raise invalid("step", "is none that a campaign can take")
        campaign_id = _id("campaign_id", request.campaign_id, required=True)
        return _campaign(await steps[request.step](current_person().org_id, campaign_id))


class CommandExchangeRpc:
    """Implements `devices.ports.CommandCalls`."""

    def __init__(self, commands: CommandService) -> None:
        self._commands = commands

    async def exchange(
        self, request: device_pb2.CheckInRequest, principal: DevicePrincipal
    ) -> device_pb2.CheckInResponse:
        """An answer in which only the fields about commands are set."""
        if len(request.command_reports) > MAX_REPORTS:
            raise invalid("command_reports", f"has more than {MAX_REPORTS} entries")
        reports = [read_command_report(untrusted) for untrusted in request.command_reports]
        exchange = await self._commands.exchange(principal, reports)
        return device_pb2.CheckInResponse(
            commands=[_command(command) for command in exchange.begin],
            cancelled_command_ids=exchange.give_up,
            accepted_report_ids=exchange.accepted,
        )


# ---------------------------------------------------------------- reading


def read_command_report(untrusted: command_pb2.CommandReport) -> CommandReport:
    """Check one report: its command and state must be right, its texts are made harmless.

    Raises:
        Refusal: `INVALID_REQUEST`.
    """
    state = _STATE_FROM_THE_WIRE.get(untrusted.state)
    if state not in REPORTABLE:
        raise invalid("command_reports.state", "is none that a device can report")
    if len(untrusted.result) > _MAX_RESULTS:
        raise invalid("command_reports.result", f"has more than {_MAX_RESULTS} entries")
    return CommandReport(
        command_id=_id("command_reports.command_id", untrusted.command_id, required=True),
        state=state,
        code=harmless_text(untrusted.code, limit=_MAX_CODE_CHARACTERS),
        message=harmless_text(untrusted.message, limit=_MAX_MESSAGE_CHARACTERS),
        result={
            harmless_text(name, limit=_MAX_CODE_CHARACTERS): harmless_text(value, limit=_MAX_MESSAGE_CHARACTERS)
            for name, value in sorted(untrusted.result.items())
        },
    )


def _wish(untrusted: command_pb2.RequestCommandRequest | command_pb2.RequestCampaignRequest) -> CommandWish:
    kind = read_kind(untrusted.kind)
    return CommandWish(
        kind=kind,
        arguments=read_arguments(kind, untrusted.arguments),
        reason=text("reason", untrusted.reason, limit=MAX_REASON_CHARACTERS),
        idempotency_key=untrusted.idempotency_key,
    )


def _read_state(untrusted: command_pb2.CommandState.ValueType) -> CommandState:
    if untrusted not in _STATE_FROM_THE_WIRE:
        raise invalid("states", "names a state that does not exist")
    return _STATE_FROM_THE_WIRE[untrusted]


def _id(field: str, untrusted: str, *, required: bool = False) -> str:
    return text(field, untrusted, limit=MAX_ID_CHARACTERS, required=required)


# ---------------------------------------------------------------- answering


def _command(command: Command) -> command_pb2.Command:
    return command_pb2.Command(
        command_id=command.command_id,
        kind=command.kind,
        arguments=dict(command.arguments),
        expires_at_us=to_microseconds(command.expires_at),
        requester=command.requester,
        reason=command.reason,
    )


def _record(named: NamedCommand) -> command_pb2.CommandRecord:
    command = named.command
    return command_pb2.CommandRecord(
        command=_command(command),
        device_id=command.device_id,
        device_name=named.device_name,
        state=_STATE_ON_THE_WIRE[command.state],
        requested_at_us=to_microseconds(command.requested_at),
        delivered_at_us=optional_microseconds(command.delivered_at),
        started_at_us=optional_microseconds(command.started_at),
        finished_at_us=optional_microseconds(command.finished_at),
        cancel_requested_at_us=optional_microseconds(command.cancel_requested_at),
        code=command.code,
        message=command.message,
        result=dict(command.result),
        campaign_id=command.campaign_id,
    )


def _campaign(view: CampaignView) -> command_pb2.Campaign:
    campaign = view.campaign
    return command_pb2.Campaign(
        campaign_id=campaign.campaign_id,
        kind=campaign.kind,
        arguments=dict(campaign.arguments),
        requester=campaign.requester,
        reason=campaign.reason,
        state=_CAMPAIGN_STATE_ON_THE_WIRE[campaign.state],
        devices_per_minute=campaign.per_turn,
        stop_after_failures=campaign.stop_after,
        requested_at_us=to_microseconds(campaign.requested_at),
        counts=_counts(view),
    )


def _counts(view: CampaignView) -> Mapping[str, int]:
    given_out = {state.value: count for state, count in view.progress.counts.items()}
    return {"waiting": view.progress.waiting, **given_out}
