"""What the compiled parts of a Debian package need of the system: found out, not written down."""

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

#: Packages of Debian by the library they hold; a library of any other name fails the build.
_PACKAGES: Mapping[str, str] = {
    "libc.so.6": "libc6",
    "libm.so.6": "libc6",
    "libdl.so.2": "libc6",
    "libpthread.so.0": "libc6",
    "librt.so.1": "libc6",
    "libresolv.so.2": "libc6",
    "ld-linux-x86-64.so.2": "libc6",
    "ld-linux-aarch64.so.1": "libc6",
    "libgcc_s.so.1": "libgcc-s1",
    "libstdc++.so.6": "libstdc++6",
    "libz.so.1": "zlib1g",
}
#: What `ldd` lists beside files: the kernel's own code, and "statically linked".
_NO_FILES = frozenset({"linux-vdso.so.1", "statically"})
_NEEDED = re.compile(r"^\s*(?P<name>\S+?)(?: => (?P<path>\S+|not found))?(?: \(0x[0-9a-f]+\))?$", re.MULTILINE)
_GLIBC = re.compile(r"-manylinux_2_(\d+)_|-manylinux(2014|2010|1)_")
#: PEP 600: the old names of manylinux, in terms of glibc's minor version.
_OLD_NAMES = {"2014": 17, "2010": 12, "1": 5}


def packages_for(tree: Path) -> tuple[str, ...]:
    """Packages that hold the libraries which the compiled files below a folder need and do not bring along.

    Raises:
        LookupError: A library is missing here, or in no package we know.
    """
    needed: set[str] = set()
    for library in sorted(tree.rglob("*.so*")):
        if library.is_file() and not library.is_symlink():
            needed |= set(_packages_of(library, tree))
    glibc = f"libc6 (>= 2.{oldest_glibc(tree.rglob('*.dist-info/WHEEL'))})"
    return tuple(sorted((needed - {"libc6"}) | {glibc}))


def _packages_of(library: Path, tree: Path) -> Iterable[str]:
    listed = subprocess.run(["/usr/bin/ldd", str(library)], capture_output=True, text=True, check=False).stdout
    for found in _NEEDED.finditer(listed):
        name, path = Path(found["name"]).name, found["path"] or ""
        if path == "not found":
            raise LookupError(f"{library} needs {name}, which is nowhere on this machine")
        brought_along = path and Path(path).resolve().is_relative_to(tree.resolve())
        if brought_along or name in _NO_FILES:
            continue
        if name not in _PACKAGES:
            raise LookupError(f"{library} needs {name}; say in {__name__} which package holds it")
        yield _PACKAGES[name]


def oldest_glibc(wheels: Iterable[Path]) -> int:
    """Minor version of the oldest glibc 2 that all these wheels promise to run with, from their tags."""
    minors = [5]
    for wheel in wheels:
        tags = _GLIBC.findall(wheel.read_text(encoding="utf-8"))
        # One wheel may carry several tags: it runs wherever any of them holds.
        if tags:
            minors.append(min(int(minor) if minor else _OLD_NAMES[old] for minor, old in tags))
    return max(minors)
