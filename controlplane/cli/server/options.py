"""Options that several commands take."""

import os
from pathlib import Path
from typing import Annotated

import typer

from controlplane.config import DATA_DIR_VARIABLE, default_data_dir

DataDirOption = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar=DATA_DIR_VARIABLE,
        default_factory=lambda: default_data_dir(os.environ, is_root=os.geteuid() == 0),
        help="Where keys, settings and the embedded database are.",
        file_okay=False,
        show_default="/var/lib/buckler-server, or your XDG data folder",
    ),
]
