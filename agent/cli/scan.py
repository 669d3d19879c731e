"""`buckler scan PATH...`: scan files now. Needs no agent, no activation and no network."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.scan_arguments import limits_with, named_paths, size_in_bytes
from agent.cli.scan_request import Output, ScanDefaults, ScanPlace, ScanRequest, ScanWiring
from agent.cli.scan_run import run_scan
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.policy import Action
from agent.domain.ports import Quarantine
from agent.platform.clock import SystemClock
from agent.platform.randomness import SystemRandomness


def scan_command(wiring: ScanWiring) -> Callable[..., None]:
    """The command with everything it needs; register the result with Typer."""

    def scan(  # noqa: PLR0913 -- one argument per flag of the contract
        paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files and folders.", show_default=False)],
        *,
        rules: Annotated[
            list[Path] | None,
            typer.Option(help="Scan with these rules instead of the installed ones: file, folder or zip. Repeatable."),
        ] = None,
        quarantine: Annotated[bool, typer.Option("--quarantine", help="Take what is infected to the vault.")] = False,
        jobs: Annotated[int, typer.Option(min=0, max=256, help="Workers; 0: one per core.")] = 0,
        no_cache: Annotated[
            bool, typer.Option("--no-cache", help="Neither believe an earlier scan nor remember this one.")
        ] = False,
        max_file_size: Annotated[str, typer.Option(help="Bytes of a file or a member; K, M, G allowed.")] = "",
        max_depth: Annotated[int | None, typer.Option(min=0, help="Containers inside one another.")] = None,
        max_members: Annotated[int | None, typer.Option(min=0, help="Members of one file, all depths.")] = None,
        max_expanded_size: Annotated[str, typer.Option(help="Unpacked bytes of one file; K, M, G allowed.")] = "",
        timeout: Annotated[float | None, typer.Option(help="Seconds for one file.")] = None,
        output: Annotated[Output, typer.Option(help="JSON Lines for programs.")] = Output.TEXT,
        verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Clean files too.")] = False,
        data_dir: Annotated[
            Path | None, typer.Option(envvar="BUCKLER_DATA_DIR", help="Where the agent keeps its data.")
        ] = None,
        config: Annotated[Path | None, typer.Option(envvar="BUCKLER_CONFIG", help="Configuration file.")] = None,
    ) -> None:
        """Scan files and folders. Exit status: 0 clean, 1 threat found, 2 error, 3 not everything could be scanned."""
        place = ScanPlace(data_dir, config)
        defaults = wiring.load_defaults(place)
        limits = limits_with(
            defaults.settings.limits,
            max_file_size=size_in_bytes(max_file_size, "--max-file-size"),
            max_depth=max_depth,
            max_members=max_members,
            max_expanded_size=size_in_bytes(max_expanded_size, "--max-expanded-size"),
            timeout_s=timeout,
        )
        settings = replace(defaults.settings, workers=jobs or defaults.settings.workers, limits=limits)
        policy = replace(defaults.policy, on_infected=Action.QUARANTINE if quarantine else Action.REPORT)
        request = ScanRequest(
            named_paths(paths),
            tuple(rules or ()) or _installed_rules(defaults),
            settings,
            policy,
            output,
            verbose,
            cache_place=None if no_cache else place,
        )
        with ExitStack() as stack:
            vault = stack.enter_context(wiring.open_quarantine(place)) if quarantine else None
            status = _run_to_the_end(request, wiring, vault)
        raise typer.Exit(status)

    return scan


def _run_to_the_end(request: ScanRequest, wiring: ScanWiring, vault: Quarantine | None) -> ExitStatus:
    try:
        return asyncio.run(run_scan(request, wiring, vault))
    except KeyboardInterrupt:
        raise BucklerError(
            "SCAN_INTERRUPTED", "the scan was interrupted before its end", next_step="start it again"
        ) from None


def _installed_rules(defaults: ScanDefaults) -> tuple[Path, ...]:
    from agent.scanner.rulepack import builtin_signatures

    return defaults.rules or (builtin_signatures(),)


def _no_vault(_place: ScanPlace) -> AbstractContextManager[Quarantine]:
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
