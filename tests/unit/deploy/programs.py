"""A program with one of everything, for what is written from programs' help."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from deploy.building.command_tree import Command, read_program

app = typer.Typer(help="Looks after things.\n\nAnd more.", add_completion=False)
box_app = typer.Typer(help="Boxes.")
app.add_typer(box_app, name="box")


class Colour(Enum):
    """Few values."""

    RED = "red"
    BLUE = "blue"


@app.callback()
def main(
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="It's the [file] used.")] = None,
) -> None:
    """Looks after things."""


@app.command()
def paint(
    path: Annotated[list[Path], typer.Argument(metavar="PATH…", help="What to paint.")],
    colour: Annotated[Colour, typer.Option("--colour", "-c", help="Which colour: one of two.")] = Colour.RED,
    *,
    dry: Annotated[bool, typer.Option("--dry", help="Do nothing.")] = False,
    secret: Annotated[bool, typer.Option("--secret", hidden=True)] = False,
) -> None:
    """Paint it."""


@app.command(hidden=True)
def worker() -> None:
    """Nobody's business."""


@box_app.command("open")
def open_box(box: Annotated[Colour, typer.Argument(help="Which one.")]) -> None:
    """Open a box."""


@box_app.command("close")
def close_box() -> None:
    """Close a box."""


def program() -> Command:
    """As the builders read it."""
    return read_program("tool", app)
