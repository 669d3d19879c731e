"""What goes into a bundle, in its order, and where each item comes from.

Every item is asked for by itself, so what does not work on this machine is one item's error: the configuration may be
unreadable, the agent may not run, the database may be damaged.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from agent.cli.asking import ask_status, settings_of
from agent.cli.invocation import Common
from agent.cli.scan_costs import cost_record
from agent.cli.scan_costs_wiring import read_scan_costs
from agent.cli.service import service_record
from agent.cli.service_wiring import open_desk
from agent.domain.costs import CostWindow
from agent.domain.errors import BucklerError
from agent.domain.exclusion_advice import advise
from agent.platform.clock import SystemClock
from agent.platform.private_names import private_names
from agent.platform.program import app_version
from agent.support.diagnostics import machine
from agent.support.diagnostics.bundle import Bundle
from agent.support.diagnostics.collecting import LOG_LIMIT, Collector, Keep, NotHereError, collect_all
from agent.support.diagnostics.expected import compare, expectation_record
from agent.support.redaction import Json, Private, RedactionPolicy, Redactor

if TYPE_CHECKING:
    from agent.config import AgentConfig
    from agent.locations import Locations

_Answer = TypeVar("_Answer")
#: Names of each kind in an item on costs.
_COST_LINES = 25
#: Its check-ups have 20 s each, side by side.
_DOCTORS_PATIENCE_S = 45.0
#: What `buckler doctor --output json` says, if this version has it.
DoctorReport = Callable[[], Json]


def make_bundle(
    common: Common, policy: RedactionPolicy, doctor: DoctorReport | None = None, only: str | None = None
) -> Bundle:
    """Gather everything about this device.

    Args:
        common: Which agent.
        policy: What to take out.
        doctor: Runs the check-up; None: there is none.
        only: Name of the one item that is wanted; None: all of them.

    Raises:
        BucklerError: `ITEM_UNKNOWN`.
    """
    clock, evidence = SystemClock(), _Evidence(common)
    private = private_names(evidence.key_files(), os.environ)
    redactor = Redactor(Private(private.users, private.homes, private.secrets), policy)
    collectors = _collectors(evidence, doctor)
    wanted = [collector for collector in collectors if only is None or collector.name == only]
    if not wanted:
        names = ", ".join(collector.name for collector in collectors)
        raise BucklerError("ITEM_UNKNOWN", f"a bundle has no item {only!r}", next_step=f"choose one of {names}")
    items = collect_all(wanted, redactor, clock)
    return Bundle(clock.now(), app_version(), policy, items)


def _collectors(evidence: "_Evidence", doctor: DoctorReport | None) -> Sequence[Collector]:
    locations = evidence.locations
    return (
        Collector("versions.json", "ask the packages and the system for their versions", machine.versions),
        Collector("expected.json", "compare settings and promises with the status", evidence.comparison),
        Collector("doctor.json", "buckler doctor --output json", doctor or _no_doctor, patience_s=_DOCTORS_PATIENCE_S),
        Collector("status.json", "buckler status --output json", lambda: evidence.status),
        Collector("service.json", "buckler service status --output json", lambda: evidence.service),
        Collector("configuration.json", "read settings, each with its origin", lambda: evidence.settings),
        *(
            Collector(
                f"scan-costs-{window.value}.json",
                f"buckler scan-costs --window {window.value} --output json",
                partial(evidence.scan_costs, window),
            )
            for window in CostWindow
        ),
        Collector("scans.json", "buckler schedule status --output json; slowest files of the day", evidence.scans),
        Collector("database.json", "open the database read-only; quick_check; count rows", evidence.database),
        Collector("data-folder.json", "list the data folder", lambda: machine.data_folder(locations().data_dir)),
        Collector(
            "machine.json", "memory, disks, kernel limits", lambda: machine.resources(SystemClock(), _folder(locations))
        ),
        Collector("processes.json", "list the processes of buckler", machine.own_processes),
        Collector("crash-reports.txt", "read the newest crash reports", evidence.crash_reports),
        Collector("log.txt", " ".join(machine.LOG_COMMAND), machine.service_log, LOG_LIMIT, Keep.END),
    )


def _no_doctor() -> Json:
    raise NotHereError("this version has no doctor")


def _folder(locations: "Callable[[], Locations]") -> Path:
    try:
        return locations().data_dir
    except BucklerError:
        return Path(os.sep)


class _Evidence:
    """Asks once for what several items need."""

    def __init__(self, common: Common) -> None:
        self._common = common

    def locations(self) -> "Locations":
        from agent.locations import Overrides, find_locations

        return find_locations(Overrides(self._common.data_dir, self._common.config))

    @cached_property
    def _config(self) -> "AgentConfig":
        return settings_of(self._common)

    def key_files(self) -> tuple[Path, ...]:
        try:
            return (self.locations().device_key,)
        except BucklerError:
            return ()

    @cached_property
    def settings(self) -> dict[str, Json]:
        from agent.config import settings_with_origins
        from agent.locations import Overrides

        found = settings_with_origins(Overrides(self._common.data_dir, self._common.config))
        return {name: {"value": setting.value, "origin": setting.origin} for name, setting in found.items()}

    @cached_property
    def status(self) -> dict[str, Json]:
        if not self._agent_answers() and not self.locations().data_dir.is_dir():
            # Asking would make it; a look must not.
            raise NotHereError("no agent runs here, and there is no data folder")
        return {name: field.value for name, field in ask_status(self._common).items()}

    @cached_property
    def service(self) -> dict[str, Json]:
        return _where_there_is_one("SERVICE_NO_SUPERVISOR", lambda: service_record(open_desk(self._common).status()))

    def _agent_answers(self) -> bool:
        from agent.local_api.client import agent_answers

        return any(agent_answers(socket) for socket in self.locations().status_sockets)

    def comparison(self) -> Json:
        settings = _known(lambda: self.settings)
        values = {name: item["value"] for name, item in (settings or {}).items() if isinstance(item, Mapping)}
        status, service = _known(lambda: self.status), _known(lambda: self.service)
        answers = _known(lambda: {"answers": self._agent_answers()}) == {"answers": True}
        lines = compare(values if settings else None, service, status, agent_answers=answers)
        return [expectation_record(line) for line in lines]

    def scan_costs(self, window: CostWindow) -> Json:
        report = _where_there_is_one("AGENT_NOT_RUNNING", lambda: read_scan_costs(self._config, window))
        return cost_record(report, advise(report), _COST_LINES)

    def scans(self) -> Json:
        from agent.local_api.steering import ScanAction
        from agent.requests import steer_scans

        status = self.status
        last = {name: status.get(name) for name in ("last_quick_scan", "last_full_scan", "scheduled_scan")}
        if not self._agent_answers():
            return last
        schedule = asyncio.run(steer_scans(self._config, ScanAction.TELL))
        costs = cost_record(report := read_scan_costs(self._config, CostWindow.DAY), advise(report), _COST_LINES)
        return {**last, "schedule": {field.name: field.value for field in schedule}, "slowest": costs["slowest"]}

    def database(self) -> Json:
        from agent.storage.inspection import inspect_database

        try:
            return inspect_database(self.locations().database)
        except FileNotFoundError:
            raise NotHereError("no agent has run with this data folder") from None

    def crash_reports(self) -> str:
        return machine.crash_reports(machine.crash_folders(self.locations().crash_reports))


def _where_there_is_one(code: str, ask: Callable[[], _Answer]) -> _Answer:
    """What it says; that there is nobody to ask, which this code says, is no failure."""
    try:
        return ask()
    except BucklerError as refusal:
        if refusal.code == code:
            raise NotHereError(refusal.message) from refusal
        raise


def _known(ask: Callable[[], dict[str, Json]]) -> dict[str, Json] | None:
    """What it says, unless it fails, which its own item tells."""
    try:
        return ask()
    except (BucklerError, NotHereError, OSError):
        return None
