"""A process that exchanges a file, or its folder, for something else as fast as it can.

`python -m tests.integration.quarantine.attacker ATTACK HOME OUTSIDE`, until it is killed. It never destroys anything:
what it takes away it renames, so that the test can tell what *we* destroyed.
"""

import itertools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

NAME = "evil"
#: A file outside that has the size of the infected one: only inode and digest tell them apart.
VICTIM = "victim"


def exchange_for(make: Callable[[Path], None], home: Path, number: int) -> None:
    """The file makes room for something else of its name, and comes back."""
    target, aside = home / NAME, home / f"aside-{number}"
    with suppress(OSError):
        target.rename(aside)
    with suppress(OSError):
        make(target)
    with suppress(OSError):
        target.rename(home / f"trash-{number}")
    with suppress(OSError):
        aside.rename(target)


def exchange_folder(home: Path, outside: Path, number: int) -> None:
    """The whole folder makes room for a link to another one."""
    aside = home.with_name("home-aside")
    with suppress(OSError):
        home.rename(aside)
    with suppress(OSError):
        home.symlink_to(outside)
    with suppress(OSError):
        if home.is_symlink():
            home.rename(home.with_name(f"trash-{number}"))
    with suppress(OSError):
        aside.rename(home)


def rewrite(home: Path, number: int) -> None:
    """The file stays the same inode with other bytes, or fewer."""
    with suppress(OSError), os.fdopen(os.open(home / NAME, os.O_WRONLY | os.O_NOFOLLOW), "wb") as target:
        if number % 2:
            target.truncate(10)
        else:
            target.write(b"%020d" % number)


def main() -> None:
    """Attack until killed."""
    attack, home, outside = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    makers: dict[str, Callable[[Path], None]] = {
        "link": lambda path: path.symlink_to(outside / NAME),
        "hard_link": lambda path: path.hardlink_to(outside / VICTIM),
        "fifo": os.mkfifo,
        "folder_in_place": Path.mkdir,
    }
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for number in itertools.count():
        if attack == "folder_link":
            exchange_folder(home, outside, number)
        elif attack == "rewrite":
            rewrite(home, number)
        else:
            exchange_for(makers[attack], home, number)


if __name__ == "__main__":
    main()
