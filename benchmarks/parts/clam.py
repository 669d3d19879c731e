"""ClamAV with a database of one signature: alone, and as a daemon of the benchmark's own on a private socket."""

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.parts.contestant import Answer, Contestant, Missing, lines_of

_MISSING = "not installed (Debian packages clamav, clamav-daemon, clamdscan)"
#: Clean, found.
_GOOD = frozenset({0, 1})
_START_PATIENCE_S = 60.0
_LIMITS = ("MaxFileSize 256M", "MaxScanSize 768M")


def clam_contestants(processes: int, scratch: Path) -> list[Contestant | Missing]:
    """`clamscan`, and `clamdscan` with as many threads as others have processes."""
    return [_clamscan(scratch / "clamscan"), _clamdscan(processes, scratch / "clamd")]


def _clamscan(folder: Path) -> Contestant | Missing:
    name = "clamscan, one signature"
    program = shutil.which("clamscan")
    if program is None:
        return Missing(name, _MISSING)
    fixed = [program, "-r", "--infected", "--no-summary", f"--database={_database(folder)}"]
    fixed += ["--max-filesize=256M", "--max-scansize=768M"]
    return Contestant(name, lambda trees: [[*fixed, *map(str, trees)]], _read, good=_GOOD, comparable=False)


def _clamdscan(processes: int, folder: Path) -> Contestant | Missing:
    name = "clamdscan, one signature"
    client = shutil.which("clamdscan")
    daemon = shutil.which("clamd") or shutil.which("clamd", path="/usr/sbin")
    if client is None or daemon is None:
        return Missing(name, _MISSING)
    _database(folder)
    settings = folder / "clamd.conf"
    socket = folder / "socket"
    lines = [f"LocalSocket {socket}", f"DatabaseDirectory {folder}", "Foreground yes", f"MaxThreads {processes}"]
    settings.write_text("\n".join((*lines, *_LIMITS, "")), encoding="ascii")
    fixed = [client, f"--config-file={settings}", "--multiscan", "--fdpass", "--infected", "--no-summary"]
    return Contestant(
        name,
        lambda trees: [[*fixed, *map(str, trees)]],
        _read,
        good=_GOOD,
        comparable=False,
        serving=lambda: _serving([daemon, f"--config-file={settings}"], socket),
    )


@contextmanager
def _serving(command: Sequence[str], socket: Path) -> Iterator[int]:
    """The daemon, ready, for the length of the block; gives its process id."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            patience_ends = time.monotonic() + _START_PATIENCE_S
            while not socket.exists():
                if process.poll() is not None or time.monotonic() > patience_ends:
                    raise RuntimeError("clamd does not start")
                time.sleep(0.05)
            yield process.pid
        finally:
            process.terminate()


def _database(folder: Path) -> Path:
    folder.mkdir()
    database = folder / "one.ndb"
    # Target 0 is any file, offset * anywhere; the body is the hex of a text no file here contains.
    database.write_text(f"Benchmark.OneSignature:0:*:{b'buckler-benchmark-one-signature'.hex()}\n", encoding="ascii")
    return database


def _read(output: bytes) -> Answer:
    found = [line.rpartition(": ") for line in lines_of(output) if line.endswith(" FOUND")]
    return Answer(frozenset(("", signature.removesuffix(" FOUND"), path) for path, _, signature in found))
