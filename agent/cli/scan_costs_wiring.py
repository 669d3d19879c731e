"""Where `buckler scan-costs` has its numbers from: the running agent, and scans with parts of the rules."""

import asyncio
import os
from typing import TYPE_CHECKING

from agent.domain.costs import CostReport, CostWindow
from agent.domain.errors import BucklerError, ExitStatus

if TYPE_CHECKING:
    from agent.config import AgentConfig
    from agent.scanner.costs.rule_costs import RuleCosts

#: Files that are scanned again for the rules.
_FILES_MEASURED = 3


def read_scan_costs(config: "AgentConfig", window: CostWindow) -> CostReport:
    """What scanning has cost the running agent.

    Raises:
        BucklerError: `AGENT_NOT_RUNNING`, `NOT_PERMITTED`.
    """
    from agent.local_api.client import agent_answers, remote_actions

    socket = config.locations.local_api.control_socket
    if not agent_answers(socket):
        raise BucklerError(
            "AGENT_NOT_RUNNING",
            "no agent runs here, and it is the agent that keeps what scans cost, while it runs",
            next_step="start it with `buckler run`, or look at one folder with `buckler scan --profile DIR`",
            exit_status=ExitStatus.ENVIRONMENT,
        )

    async def ask() -> CostReport:
        async with remote_actions(socket) as actions:
            return await actions.scan_costs(window)

    return asyncio.run(ask())


def time_rules_of(config: "AgentConfig", report: CostReport) -> "RuleCosts | None":
    """Which rules cost most in the slowest files that are still there; None: there is none to measure.

    Raises:
        BucklerError: `RULES_…`, or no scanner could be started.
    """
    from agent.platform.clock import SystemClock
    from agent.platform.files.regular_files import open_regular
    from agent.scanner.costs.rule_timing import time_rules
    from agent.scanner.packs.rule_files import builtin_signatures
    from agent.scanner.packs.rulepack import load_rules

    paths: list[str] = []
    for file in report.slowest:
        try:
            opened = open_regular(file.path)
        except OSError:
            continue
        if opened is not None and len(paths) < _FILES_MEASURED:
            paths.append(file.path)
        if opened is not None:
            os.close(opened.descriptor)
    if not paths:
        return None
    sources = load_rules((builtin_signatures(), *config.extra_rules)).sources
    return asyncio.run(time_rules(config.scanner, sources, paths, SystemClock()))
