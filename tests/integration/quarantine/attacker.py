"""A process that exchanges a file, or its folder, for something else as fast as it can.

`python -m tests.integration.quarantine.attacker ATTACK HOME OUTSIDE`, until it is killed. A byte on standard input
makes it finish what it is at and say `resting`; the next one lets it go on. It never destroys anything: what it takes
away it renames, so that the test can tell what *we* destroyed.
"""

import itertools
import mmap
import os
import select
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

NAME = "evil"
#: How long the start of the file is that no attack on its content reaches: what was infected stays infected.
UNTOUCHED_BYTES = 4096
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


def rename_to_and_fro(home: Path, number: int) -> None:
    """The file has its name only half of the time."""
    aside = home / f"aside-{number % 7}"
    with suppress(OSError):
        (home / NAME).rename(aside)
    with suppress(OSError):
        aside.rename(home / NAME)


def truncate_mapped(home: Path, number: int) -> None:
    """The file is written through a mapping, cut off under it, and grows again; the mapping outlives the name."""
    with suppress(OSError), os.fdopen(os.open(home / NAME, os.O_RDWR | os.O_NOFOLLOW), "r+b") as target:
        size = os.fstat(target.fileno()).st_size
        if size <= UNTOUCHED_BYTES:
            return
        with mmap.mmap(target.fileno(), size) as mapping:
            mapping[UNTOUCHED_BYTES] = number % 256
            target.truncate(UNTOUCHED_BYTES)
            target.truncate(size)
            mapping[UNTOUCHED_BYTES] = (number + 1) % 256


def make_device(path: Path) -> None:
    """What looks like the file is `/dev/zero`: whoever reads it never comes to an end."""
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def rewrite(home: Path, number: int) -> None:
    """The file stays the same inode with other bytes, or fewer."""
    with suppress(OSError), os.fdopen(os.open(home / NAME, os.O_WRONLY | os.O_NOFOLLOW), "wb") as target:
        if number % 2:
            target.truncate(10)
        else:
            target.write(b"%020d" % number)


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def rest_if_asked() -> None:
    """Between two attacks only, so that nothing is left half-way."""
    if select.select([sys.stdin], [], [], 0)[0]:
        # One byte each, unbuffered: `select` knows nothing of what a buffer already holds.
        os.read(sys.stdin.fileno(), 1)
        say("resting")
        if not os.read(sys.stdin.fileno(), 1):
            sys.exit()


def main() -> None:
    """Attack until killed."""
    attack, home, outside = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    makers: dict[str, Callable[[Path], None]] = {
        "link": lambda path: path.symlink_to(outside / NAME),
        "hard_link": lambda path: path.hardlink_to(outside / VICTIM),
        "fifo": os.mkfifo,
        "device": make_device,
        "folder_in_place": Path.mkdir,
    }
    changes: dict[str, Callable[[Path, int], None]] = {
        "rename": rename_to_and_fro,
        "rewrite": rewrite,
        "truncate_mapped": truncate_mapped,
    }
    say("ready")
    for number in itertools.count():
        rest_if_asked()
        if attack == "folder_link":
            exchange_folder(home, outside, number)
        elif attack in changes:
            changes[attack](home, number)
        else:
            exchange_for(makers[attack], home, number)


if __name__ == "__main__":
    main()
