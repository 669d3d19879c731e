"""A bundle made by a process of its own: the program a person would run, so the agent is asked like by anybody else.

What hangs or breaks there costs the bundle and not the protection, and reading logs takes nobody's time here.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.domain.errors import BucklerError, ExitStatus

#: How long it may take, in seconds: every item its own, and some more.
_PATIENCE_S = 420.0
#: Exit statuses with which there is a bundle; 3: not everything could be had.
_MADE = frozenset({0, 3})
_LONGEST_COMPLAINT = 300
#: Larger than any bundle; what is larger is none.
_LIMIT = 8 * 1024 * 1024
_FILE = "diagnostics-being-sent.zip"


async def make_bundle_apart(options: Sequence[str], folder: Path, *, hide_paths: bool) -> bytes:
    """Run `buckler diagnostics create` and read what it made.

    Args:
        options: Which agent: the common options of the command line.
        folder: Where the file may lie meanwhile.
        hide_paths: Take out names below homes.

    Raises:
        BucklerError: `DIAGNOSTICS_NOT_MADE`.
    """
    file = folder / _FILE
    file.unlink(missing_ok=True)
    wish = ("diagnostics", "create", "--to", str(file), *(("--hide-paths",) if hide_paths else ()))
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from agent.cli.main import main; main()"),
            *options,
            *wish,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_PATIENCE_S):
                _, complaint = await process.communicate()
        except TimeoutError as error:
            raise _not_made("it took too long") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode not in _MADE:
            raise _not_made(complaint.decode("utf-8", "backslashreplace").strip()[:_LONGEST_COMPLAINT])
        return await asyncio.to_thread(_read, file)
    finally:
        file.unlink(missing_ok=True)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(_LIMIT + 1)
    except OSError as error:
        raise _not_made(f"it cannot be read: {error.strerror}") from error
    if len(content) > _LIMIT:
        raise _not_made("it is too large")
    return content


def _not_made(why: str) -> BucklerError:
    return BucklerError(
        "DIAGNOSTICS_NOT_MADE",
        f"the bundle could not be made: {why}",
        next_step="run `buckler diagnostics create` on the device",
        exit_status=ExitStatus.ENVIRONMENT,
    )
