"""The flags of `buckler scan`, declared once and together."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.invocation import Output

Paths = Annotated[list[str] | None, typer.Argument(metavar="PATH...", help="Files and folders.", show_default=False)]
Quick = Annotated[
    bool,
    typer.Option(
        "--quick",
        help="What runs, what starts by itself, downloads and temporary folders.",
    ),
]
Full = Annotated[bool, typer.Option("--full", help="Every file of every local file system.")]
NetworkFileSystems = Annotated[
    bool, typer.Option("--network-filesystems", help="With --full: network file systems too.")
]
Processes = Annotated[bool, typer.Option("--processes", help="The memory of running processes (Linux).")]
Rules = Annotated[
    list[Path] | None,
    typer.Option(
        help="Scan with these rules instead of the installed ones: file, folder or zip. Repeatable.",
    ),
]
SkipBrokenRules = Annotated[
    bool, typer.Option("--skip-broken-rules", help="Leave out rules that do not compile, and say which.")
]
EngineName = Annotated[str, typer.Option("--engine", help="Signature engine: yara or boreal.")]
Quarantine = Annotated[bool, typer.Option("--quarantine", help="Move infected files to the vault.")]
Background = Annotated[
    bool,
    typer.Option(
        "--background",
        help="Stay unnoticed: lowest priority, and no more processor time than [schedule] cpu_percent.",
    ),
]
Jobs = Annotated[int, typer.Option(min=0, max=256, help="Workers; 0: one per core.")]
NoCache = Annotated[
    bool,
    typer.Option("--no-cache", help="Use no results of earlier scans, and remember none of this one."),
]
MaxFileSize = Annotated[str, typer.Option(help="Largest file or member that is scanned, in bytes; K, M, G allowed.")]
MaxDepth = Annotated[int | None, typer.Option(min=0, help="How deep containers may lie inside one another.")]
MaxMembers = Annotated[int | None, typer.Option(min=0, help="Members of one file, all depths.")]
MaxExpandedSize = Annotated[
    str,
    typer.Option(help="Unpacked bytes of one file, or bytes of one process; K, M, G allowed."),
]
Timeout = Annotated[float | None, typer.Option(help="Seconds for one file.")]
ScanOutput = Annotated[Output | None, typer.Option("--output", help="JSON Lines for programs.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Clean files too.")]
Profile = Annotated[bool, typer.Option("--profile", help="Afterwards, name the costliest files, formats and rules.")]
