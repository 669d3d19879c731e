"""`python -m deploy.building.deb WHEEL DIR`: a Debian package with an environment of its own under `/opt/buckler`.

The package brings every Python package it needs, as locked, compiled to bytecode; of Debian it needs the Python it was
built with, libarchive and what `deploy.building.native` finds. Two builds from one commit are alike, byte by byte.
"""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from deploy.building.locked import needed_by, part_of_lock
from deploy.building.native import packages_for

#: Debian's own; the package works with this minor version only, since compiled packages do.
_PYTHON = Path("/usr/bin/python3")
_EXTRAS = frozenset({"boreal", "nats", "postgres", "stripe"})
_HERE = Path(__file__).parents[1]
_OPT = "opt/buckler"
_REVISION = "1"
_ENTRY_POINTS = {
    "buckler": ("agent.cli.start", "buckler"),
    "bucklerctl": ("controlplane.cli.start", "bucklerctl"),
    "buckler-server": ("controlplane.cli.start", "buckler_server"),
}
#: Isolated: neither the caller's environment nor the current folder may change what root runs.
_SCRIPT = """\
#!/opt/buckler/bin/python3 -I
from {module} import {function}

{function}()
"""
#: What pip leaves that names this machine or says what pip may do here; nobody but dpkg manages this folder.
_LEFT_BY_PIP = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
#: Sources that packages carry for Python 2; nothing imports them.
_NOT_OUR_PYTHON = r"/olefile/olefile2\.py$"
_CONFFILES = ("/etc/buckler/agent.toml",)


def build_deb(wheel: Path, out: Path) -> Path:
    """Build the package; returns its file.

    Args:
        wheel: Of Buckler.
        out: The folder to put it in.

    Raises:
        LookupError: This machine lacks something that the build needs; the message says what.
    """
    _need_debian_python()
    with tempfile.TemporaryDirectory(prefix="buckler-deb-") as scratch:
        # The build must not depend on who calls it: masks and owners are set below.
        os.umask(0o022)
        top = Path(scratch) / "root"
        _fill_environment(top, wheel, Path(scratch))
        _lay_out(top)
        _write_control(top)
        _settle_modes_and_times(top)
        return _pack(top, out)


def _need_debian_python() -> None:
    if not _PYTHON.exists() or not shutil.which("dpkg-deb"):
        raise LookupError(f"a Debian package is built on Debian: {_PYTHON} and dpkg-deb are needed")
    if _python_version() != f"{sys.version_info.major}.{sys.version_info.minor}":
        ours = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise LookupError(f"Debian's Python is {_python_version()}, that of .venv is {ours}; they have to be the same")


def _python_version() -> str:
    code = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    return subprocess.run([str(_PYTHON), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


# ---------------------------------------------------------------- the environment


def _fill_environment(top: Path, wheel: Path, scratch: Path) -> None:
    environment = top / _OPT
    _run(str(_PYTHON), "-m", "venv", "--without-pip", "--symlinks", str(environment))
    lock = scratch / "runtime.lock"
    text = (_HERE.parent / "requirements.lock").read_text(encoding="utf-8")
    lock.write_text(part_of_lock(text, needed_by("buckler", _EXTRAS)), encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--python", str(environment / "bin/python3"), "install", "--quiet")
    options = ("--no-deps", "--no-compile", "--disable-pip-version-check", "--no-warn-script-location")
    _run(*pip, *options, "--only-binary=:all:", "--require-hashes", "--requirement", str(lock))
    _run(*pip, *options, "--no-index", str(wheel))
    _clean_environment(environment)
    _compile(environment, top)


def _clean_environment(environment: Path) -> None:
    """Leave what runs; programs of other packages and traces of this machine go."""
    shutil.rmtree(environment / "bin")
    (environment / "bin").mkdir()
    (environment / "bin/python3").symlink_to(f"/usr/bin/python{_python_version()}")
    for name, (module, function) in _ENTRY_POINTS.items():
        script = environment / "bin" / name
        script.write_text(_SCRIPT.format(module=module, function=function), encoding="utf-8")
        script.chmod(0o755)
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n", encoding="utf-8")
    for info in environment.glob("lib/*/site-packages/*.dist-info"):
        for name in _LEFT_BY_PIP:
            (info / name).unlink(missing_ok=True)
    for folder in ("include", "lib64"):
        path = environment / folder
        if path.is_symlink():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)


def _compile(environment: Path, top: Path) -> None:
    """To bytecode that is believed unseen: dpkg never changes a source without it.

    By Debian's Python and in one process: what a process compiled before shows in the bytecode of what follows.
    """
    where = ("-s", str(top), "-p", "/", "-j", "1", "-x", _NOT_OUR_PYTHON)
    command = (str(_PYTHON), "-P", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", *where)
    _run(*command, str(environment / "lib"), hash_seed="0")


# ---------------------------------------------------------------- the rest of the file tree


def _lay_out(top: Path) -> None:
    """Put everything where Debian has it."""
    share = top / "usr/share"
    made = top / _OPT / "share"
    for name in _ENTRY_POINTS:
        _write(share / f"man/man1/{name}.1.gz", _gzipped((made / f"man/man1/{name}.1").read_bytes()))
    _move(made / "bash-completion", share / "bash-completion")
    _move(made / "fish", share / "fish")
    _move(made / "zsh/site-functions", share / "zsh/vendor-completions")
    shutil.rmtree(made)
    for name in _ENTRY_POINTS:
        link = top / "usr/bin" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"/{_OPT}/bin/{name}")
    for unit in sorted((_HERE / "systemd").glob("*.service")):
        _write(top / "usr/lib/systemd/system" / unit.name, unit.read_bytes())
    _write(top / "etc/buckler/agent.toml", (_HERE / "agent.toml").read_bytes())
    _lay_out_documents(share / "doc/buckler")


def _lay_out_documents(folder: Path) -> None:
    tree = _HERE.parent
    _write(folder / "copyright", (_HERE / "debian/copyright").read_bytes())
    _write(folder / "changelog.gz", _gzipped((tree / "CHANGELOG.md").read_bytes()))
    for page in sorted((tree / "docs").glob("*.md")):
        _write(folder / "docs" / page.name, page.read_bytes())
    _write(folder / "compose.yaml", (_HERE / "compose.yaml").read_bytes())


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _gzipped(content: bytes) -> bytes:
    return gzip.compress(content, compresslevel=9, mtime=0)


# ---------------------------------------------------------------- what dpkg is told


def _write_control(top: Path) -> None:
    debian = top / "DEBIAN"
    depends = (f"python{_python_version()}", "libarchive13 | libarchive13t64", *packages_for(top / _OPT))
    installed = sum(path.lstat().st_size for path in top.rglob("*") if not path.is_dir())
    fields = {
        "version": f"{version('buckler')}-{_REVISION}",
        "architecture": _output_of("dpkg", "--print-architecture"),
        "installed_size": str(installed // 1024),
        "depends": ", ".join(depends),
    }
    template = (_HERE / "debian/control").read_text(encoding="utf-8")
    _write(debian / "control", re.sub(r"@(\w+)@", lambda found: fields[found[1]], template).encode("utf-8"))
    _write(debian / "conffiles", "".join(f"{path}\n" for path in _CONFFILES).encode("utf-8"))
    for script in ("postinst", "prerm", "postrm"):
        _write(debian / script, (_HERE / "debian" / script).read_bytes())
        (debian / script).chmod(0o755)
    files = (path for path in sorted(top.rglob("*")) if path.is_file() and not path.is_symlink())
    sums = [_sum_of(path, top) for path in files if debian not in path.parents]
    _write(debian / "md5sums", "".join(sums).encode("utf-8"))


def _sum_of(path: Path, top: Path) -> str:
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()  # what dpkg compares files by
    return f"{digest}  {path.relative_to(top)}\n"


def _settle_modes_and_times(top: Path) -> None:
    """One mode for all folders, two for files, and no time later than the commit's."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "946684800"))
    for path in (top, *top.rglob("*")):
        if not path.is_symlink():
            runnable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runnable else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def _pack(top: Path, out: Path) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    _run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(top), str(out))
    return max(out.glob("buckler_*.deb"), key=lambda path: path.stat().st_mtime_ns)


def _output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _run(*command: str, hash_seed: str = "random") -> None:
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed})


if __name__ == "__main__":
    try:
        print(build_deb(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()))
    except LookupError as failure:
        sys.exit(f"deb: {failure}")
