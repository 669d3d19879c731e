"""What every command takes: `--output`, `--data-dir` and `--config`, before the command's name or after it."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Output(Enum):
    """How answers are printed."""

    TEXT = "text"
    JSON = "json"


class LogFormat(Enum):
    """How events of the log are written."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[Output | None, typer.Option("--output", help="Print for people (text) or programs (json).")]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Folder of the agent's data [env: BUCKLER_DATA_DIR].")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration file [env: BUCKLER_CONFIG].")
]


@dataclass(frozen=True, slots=True)
class Common:
    """The three, as given at one place; None: not given there."""

    output: Output | None = None
    data_dir: Path | None = None
    config: Path | None = None

    def over(self, weaker: "Common") -> "Common":
        """These, and where they are silent the others."""
        return Common(self.output or weaker.output, self.data_dir or weaker.data_dir, self.config or weaker.config)

    @property
    def as_json(self) -> bool:
        """Whether a program reads the answer."""
        return self.output is Output.JSON


def common_options(context: typer.Context, output: Output | None, data_dir: Path | None, config: Path | None) -> Common:
    """What was given after the command's name, completed by what was given before it."""
    before = context.find_object(Common)
    return Common(output, data_dir, config).over(before or Common())
