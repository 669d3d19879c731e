"""Where scheduled scans go on this machine. Waits for the file system: call it in a thread."""

from agent.domain.schedule import ScanKind
from agent.platform.file_systems import local_coverage
from agent.scanner.scheduled.scan import Ground
from agent.scanner.walk.quick_targets import open_nameless, quick_targets, running_files


def ground_of(kind: ScanKind, own_folders: tuple[str, ...], *, network: bool) -> Ground:
    """What a scan of a kind walks now.

    Args:
        kind: Which.
        own_folders: Are not entered.
        network: A full scan enters file systems of other machines.
    """
    if kind is ScanKind.QUICK:
        return Ground(quick_targets(), frozenset(own_folders), lambda: open_nameless(running_files()))
    coverage = local_coverage(network=network)
    return Ground(coverage.roots, frozenset((*(folder.path for folder in coverage.skipped), *own_folders)))
