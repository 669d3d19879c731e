"""Which build fits a machine, or the reason why none does: decided from values alone."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from controlplane.catalog.model import Os

#: What programs call the systems and processors that we know by one name.
_OS_NAMES: Final = {
    "darwin": "macos",
    "osx": "macos",
    "win32": "windows",
    "win64": "windows",
    "iphoneos": "ios",
    "ipados": "ios",
}
_ARCHITECTURE_NAMES: Final = {
    "amd64": "x86_64",
    "x64": "x86_64",
    "x86-64": "x86_64",
    "arm64": "aarch64",
    "armv8": "aarch64",
    "i386": "x86",
    "i486": "x86",
    "i586": "x86",
    "i686": "x86",
}


class Libc(Enum):
    """C libraries of Linux that programs are built for."""

    GLIBC = "glibc"
    MUSL = "musl"


class Mismatch(Enum):
    """Why nothing fits; stable codes."""

    OS_NOT_SUPPORTED = "DOWNLOAD_OS_NOT_SUPPORTED"
    ARCHITECTURE_NOT_BUILT = "DOWNLOAD_ARCHITECTURE_NOT_BUILT"
    LIBC_NOT_BUILT = "DOWNLOAD_LIBC_NOT_BUILT"
    FORMAT_NOT_BUILT = "DOWNLOAD_FORMAT_NOT_BUILT"
    VERSION_UNKNOWN = "DOWNLOAD_VERSION_UNKNOWN"
    SYSTEM_TOO_OLD = "DOWNLOAD_SYSTEM_TOO_OLD"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file to install from.

    Attributes:
        os: Linux, macOS or Windows.
        architecture: Of the processor, e.g. `x86_64`.
        libc: What it is linked with; None: it does not matter.
        version: Of Buckler, e.g. `1.4.0`.
        format: `deb`, `wheel`, `pkg`, `msi`, …
        needs: Oldest version of the C library on Linux, else of the system; empty: any.
        url: Where it is.
        sha256: Of its bytes, hex.
        size_bytes: Of the file.
    """

    os: Os
    architecture: str
    libc: Libc | None
    version: str
    format: str
    needs: str
    url: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StoreLink:
    """Where a system's own store has Buckler.

    Attributes:
        os: Android or iOS.
        needs: Oldest version of the system; empty: any.
        url: The page in the store.
    """

    os: Os
    needs: str
    url: str


@dataclass(frozen=True, slots=True)
class DownloadTable:
    """One publication: every build that can be had."""

    version: int
    artifacts: tuple[Artifact, ...]
    stores: tuple[StoreLink, ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """What is asked for. Empty: not known, and then not held against a build.

    Attributes:
        os: As the machine calls it, e.g. `Darwin`.
        architecture: As the machine calls it, e.g. `amd64`.
        os_version: Of the system.
        libc: `glibc` or `musl`.
        libc_version: Of the C library.
        version: Of Buckler; empty: the newest that fits.
        format: Wanted; empty: any.
    """

    os: str
    architecture: str = ""
    os_version: str = ""
    libc: str = ""
    libc_version: str = ""
    version: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What fits.

    Attributes:
        found: The build, or the store.
        held_back: Why it is not the newest; empty: it is.
        unchecked: What was not known of the machine and might still be in the way.
    """

    found: Artifact | StoreLink
    held_back: str = ""
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """Why nothing fits.

    Attributes:
        why: The code.
        message: One sentence without its full stop.
        next_step: What helps.
    """

    why: Mismatch
    message: str
    next_step: str


def resolve(table: DownloadTable, machine: Machine) -> Choice | Explained:
    """The newest build that fits a machine, or the first thing that no build does."""
    os = known_os(machine.os)
    stores = [store for store in table.stores if store.os is os]
    built = [artifact for artifact in table.artifacts if artifact.os is os]
    if stores and not built:
        return _store(stores[0], machine)
    if not built:
        made_for = {each.os.value for each in table.artifacts} | {each.os.value for each in table.stores}
        return Explained(
            Mismatch.OS_NOT_SUPPORTED,
            f"there is no Buckler for {machine.os or 'a system without a name'}",
            f"It is made for {_listed(sorted(made_for))}",
        )
    narrowed = _narrow(built, machine)
    if isinstance(narrowed, Explained):
        return narrowed
    return _newest_that_runs(narrowed, machine)


def known_os(untrusted_name: str) -> Os | None:
    """A system by any of its names; None: none that we know."""
    name = untrusted_name.strip().lower()
    name = _OS_NAMES.get(name, name)
    return next((os for os in Os if os.value == name), None)


def known_architecture(untrusted_name: str) -> str:
    """A processor by the name that builds carry."""
    name = untrusted_name.strip().lower()
    return _ARCHITECTURE_NAMES.get(name, name)


def numbers(untrusted_version: str) -> tuple[int, ...]:
    """The numbers that a version begins with, without zeros at its end: `10.0.19045-beta` is (10, 0, 19045)."""
    begins = re.match(r"\d{1,9}(\.\d{1,9}){0,5}", untrusted_version.strip())
    found = [int(number) for number in begins[0].split(".")] if begins else []
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


def _narrow(built: list[Artifact], machine: Machine) -> list[Artifact] | Explained:
    """The builds for this sort of machine, whatever its age."""
    architecture = known_architecture(machine.architecture)
    libc, form, version = machine.libc.strip().lower(), machine.format.strip().lower(), numbers(machine.version)
    steps: tuple[tuple[Mismatch, str, Callable[[Artifact], str], Callable[[Artifact], bool]], ...] = (
        (
            Mismatch.ARCHITECTURE_NOT_BUILT,
            f"this machine's processor is {machine.architecture}" if architecture else "",
            lambda each: each.architecture,
            lambda each: each.architecture == architecture,
        ),
        (
            Mismatch.LIBC_NOT_BUILT,
            f"this machine's C library is {machine.libc}" if libc else "",
            lambda each: each.libc.value if each.libc else "any",
            lambda each: each.libc is None or each.libc.value == libc,
        ),
        (
            Mismatch.FORMAT_NOT_BUILT,
            f"it was asked for as {machine.format}" if form else "",
            lambda each: each.format,
            lambda each: each.format == form,
        ),
        (
            Mismatch.VERSION_UNKNOWN,
            f"version {machine.version} was asked for" if machine.version.strip() else "",
            lambda each: each.version,
            lambda each: numbers(each.version) == version,
        ),
    )
    for why, asked, names, fits in steps:
        if not asked:
            continue
        left = [each for each in built if fits(each)]
        if not left:
            there_is = _listed(sorted({names(each) for each in built}))
            os = built[0].os.value
            return Explained(why, f"{asked}, and Buckler for {os} is built for {there_is}", f"Choose {there_is}")
        built = left
    return built


def _newest_that_runs(built: Sequence[Artifact], machine: Machine) -> Choice | Explained:
    newest_first = sorted(built, key=lambda each: numbers(each.version), reverse=True)
    has = _age(newest_first[0].os, machine)
    running = next((each for each in newest_first if _runs(each.needs, has)), None)
    newest = newest_first[0]
    what = _what_ages(newest.os)
    if running is None:
        oldest = min(newest_first, key=lambda each: numbers(each.needs))
        return _too_old(what, oldest.needs, has)
    held_back = ""
    if numbers(running.version) < numbers(newest.version):
        held_back = f"version {newest.version} needs {what} {newest.needs}, this machine has {has}"
    unchecked = tuple(_unchecked(running, machine, has, what))
    return Choice(running, held_back, unchecked)


def _store(store: StoreLink, machine: Machine) -> Choice | Explained:
    if not _runs(store.needs, machine.os_version):
        return _too_old(_what_ages(store.os), store.needs, machine.os_version)
    return Choice(
        store, unchecked=() if machine.os_version or not store.needs else (f"{_what_ages(store.os)} {store.needs}",)
    )


def _unchecked(artifact: Artifact, machine: Machine, has: str, what: str) -> Iterable[str]:
    if not machine.architecture:
        yield artifact.architecture
    if artifact.libc is not None and not machine.libc:
        yield artifact.libc.value
    if artifact.needs and not has:
        yield f"{what} {artifact.needs}"


def _too_old(what: str, needs: str, has: str) -> Explained:
    return Explained(
        Mismatch.SYSTEM_TOO_OLD,
        f"every build needs at least {what} {needs}, this machine has {has}",
        "Update the system first",
    )


def _age(os: Os, machine: Machine) -> str:
    return machine.libc_version if os is Os.LINUX else machine.os_version


def _what_ages(os: Os) -> str:
    return {
        Os.LINUX: "C library",
        Os.MACOS: "macOS",
        Os.WINDOWS: "Windows",
        Os.ANDROID: "Android",
        Os.IOS: "iOS",
    }[os]


def _runs(needs: str, has: str) -> bool:
    return not needs or not has or numbers(has) >= numbers(needs)


def _listed(names: Sequence[str]) -> str:
    *others, last = names or ("nothing",)
    return f"{', '.join(others)} or {last}" if others else last
