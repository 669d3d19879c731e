"""`buckler scan`: scan files, this machine or its processes now. Needs no agent, no activation and no network."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agent.cli.invocation import ConfigOption, DataDirOption, Output, common_options
from agent.cli.scan import flags
from agent.cli.scan.arguments import limits_with, size_in_bytes
from agent.cli.scan.request import ScanDefaults, ScanPlace, ScanRequest, ScanWiring, Selection
from agent.cli.scan.run import run_scan
from agent.cli.scan.targets import choose_selection, find_targets
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.policy import Action
from agent.platform.clock import SystemClock
from agent.platform.randomness import SystemRandomness
from agent.scanner.packs.rule_files import builtin_signatures

if TYPE_CHECKING:
    from agent.domain.ports import Quarantine

#: A whole tree is waited for, not one file of it, so workers need not wait for us.
_FILES_AHEAD = 8


def scan_command(wiring: ScanWiring) -> Callable[..., None]:
    """The command with everything it needs; register the result with Typer."""

    def scan(  # noqa: PLR0913 -- one argument per flag of the contract
        paths: flags.Paths = None,
        *,
        context: typer.Context,
        quick: flags.Quick = False,
        full: flags.Full = False,
        network_filesystems: flags.NetworkFileSystems = False,
        processes: flags.Processes = False,
        rules: flags.Rules = None,
        skip_broken_rules: flags.SkipBrokenRules = False,
        engine: flags.EngineName = "",
        quarantine: flags.Quarantine = False,
        background: flags.Background = False,
        jobs: flags.Jobs = 0,
        no_cache: flags.NoCache = False,
        max_file_size: flags.MaxFileSize = "",
        max_depth: flags.MaxDepth = None,
        max_members: flags.MaxMembers = None,
        max_expanded_size: flags.MaxExpandedSize = "",
        timeout: flags.Timeout = None,
        output: flags.ScanOutput = None,
        verbose: flags.Verbose = False,
        profile: flags.Profile = False,
        data_dir: DataDirOption = None,
        config: ConfigOption = None,
    ) -> None:
        """Scan files, folders or processes.

        Exit status: 0 clean, 1 threat found, 2 error, 3 not everything could be scanned.
        """
        named = paths or []
        selection = choose_selection(named, quick=quick, full=full, processes=processes, network=network_filesystems)
        common = common_options(context, output, data_dir, config)
        place = ScanPlace(common.data_dir, common.config)
        defaults = wiring.load_defaults(place)
        limits = limits_with(
            defaults.settings.limits,
            max_file_size=size_in_bytes(max_file_size, "--max-file-size"),
            max_depth=max_depth,
            max_members=max_members,
            max_expanded_size=size_in_bytes(max_expanded_size, "--max-expanded-size"),
            timeout_s=timeout,
            open_containers=selection is not Selection.PROCESSES,
        )
        settings = replace(
            defaults.settings,
            engine=engine or defaults.settings.engine,
            workers=jobs or (1 if background else defaults.settings.workers),
            limits=limits,
            files_ahead=_FILES_AHEAD,
            background=background,
            itemise=profile,
        )
        request = ScanRequest(
            find_targets(selection, named, defaults, network=network_filesystems),
            tuple(rules or ()) or _installed_rules(defaults),
            settings,
            replace(defaults.policy, on_infected=Action.QUARANTINE if quarantine else Action.REPORT),
            common.output or Output.TEXT,
            verbose,
            skip_broken_rules=skip_broken_rules,
            place=place,
            cache=not no_cache,
            own_pids=defaults.own_pids,
            cpu_percent=defaults.cpu_percent if background else None,
            profile=profile,
        )
        with ExitStack() as stack:
            takes = quarantine and selection is not Selection.PROCESSES
            vault = stack.enter_context(wiring.open_quarantine(place)) if takes else None
            outcome = run_scan(request, wiring, vault)
        if outcome.finished:
            wiring.note_finished(place, selection)
        raise typer.Exit(outcome.status)

    return scan


def _installed_rules(defaults: ScanDefaults) -> tuple[Path, ...]:
    return defaults.rules or (builtin_signatures(),)


def _no_vault(_place: ScanPlace) -> "AbstractContextManager[Quarantine]":
    raise BucklerError(
        "QUARANTINE_UNAVAILABLE",
        "this installation has no quarantine",
        next_step="scan without --quarantine",
        exit_status=ExitStatus.ENVIRONMENT,
    )


#: The command as it works on a machine with nothing but the program.
scan = scan_command(
    ScanWiring(
        SystemClock(), SystemRandomness(), load_defaults=lambda _place: ScanDefaults(), open_quarantine=_no_vault
    )
)
