"""What a call of `buckler scan` looks at: the paths it names, or one of the places it knows by itself."""

from collections.abc import Sequence

from agent.cli.scan.arguments import named_paths
from agent.cli.scan.request import ScanDefaults, Selection, Targets
from agent.domain.errors import BucklerError, ExitStatus

_SEE_HELP = "see `buckler scan --help`"


def choose_selection(paths: Sequence[str], *, quick: bool, full: bool, processes: bool, network: bool) -> Selection:
    """Which of the four it is.

    Raises:
        BucklerError: `SCAN_TARGET_MISSING`, `SCAN_TARGETS_CLASH`.
    """
    chosen = [
        selection
        for selection, is_wanted in (
            (Selection.PATHS, bool(paths)),
            (Selection.QUICK, quick),
            (Selection.FULL, full),
            (Selection.PROCESSES, processes),
        )
        if is_wanted
    ]
    if not chosen:
        raise BucklerError(
            "SCAN_TARGET_MISSING",
            "nothing was named to scan",
            next_step="name a PATH, or give one of --quick, --full and --processes",
        )
    if len(chosen) > 1 or (network and chosen != [Selection.FULL]):
        clash = [choice.value for choice in chosen] + (["--network-filesystems"] if network else [])
        raise BucklerError(
            "SCAN_TARGETS_CLASH",
            f"{' and '.join(clash)} cannot be combined",
            next_step=f"scan one after the other; --network-filesystems belongs to --full; {_SEE_HELP}",
        )
    return chosen[0]


def find_targets(selection: Selection, paths: Sequence[str], defaults: ScanDefaults, *, network: bool) -> Targets:
    """Where to begin, and what is left out on the way.

    Raises:
        BucklerError: `PATH_NOT_FOUND`, `PROCESSES_UNAVAILABLE`.
    """
    match selection:
        case Selection.PATHS:
            return Targets(selection, named_paths(paths))
        case Selection.QUICK:
            from agent.platform.file_systems import skipped_own
            from agent.scanner.walk.quick_targets import quick_targets

            return Targets(selection, quick_targets(), skipped_own(defaults.own_folders))
        case Selection.FULL:
            from agent.platform.file_systems import local_coverage, skipped_own

            coverage = local_coverage(network=network)
            return Targets(selection, coverage.roots, coverage.skipped + skipped_own(defaults.own_folders))
        case Selection.PROCESSES:
            _check_processes()
            return Targets(selection)


def _check_processes() -> None:
    from agent.platform.processes.memory import can_read_processes

    if not can_read_processes():
        raise BucklerError(
            "PROCESSES_UNAVAILABLE",
            "the memory of processes can be scanned on Linux only",
            next_step="scan the programs that run with `buckler scan --quick`",
            exit_status=ExitStatus.ENVIRONMENT,
        )
