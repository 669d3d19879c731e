from dataclasses import replace

import pytest

from controlplane.catalog.model import Os
from controlplane.downloads.model import (
    Artifact,
    Choice,
    DownloadTable,
    Explained,
    Libc,
    Machine,
    Mismatch,
    StoreLink,
    known_os,
    numbers,
    resolve,
)

NEW = Artifact(
    Os.LINUX, "x86_64", Libc.GLIBC, "1.10.0", "deb", "2.36", "https://downloads.example.com/new.deb", "a" * 64, 10
)
OLD = replace(NEW, version="1.9.0", needs="2.31", url="https://downloads.example.com/old.deb", sha256="b" * 64)
MAC = replace(NEW, os=Os.MACOS, architecture="aarch64", libc=None, format="pkg", needs="13", sha256="c" * 64)
PLAY = StoreLink(Os.ANDROID, "10", "https://store.example.com/buckler")
TABLE = DownloadTable(1, (OLD, NEW, MAC), (PLAY,))
DEBIAN = Machine("Linux", "amd64", "6.1.0-18-amd64", "glibc", "2.36")


def test_a_machine_gets_the_newest_build_by_number_not_by_letters() -> None:
    assert resolve(TABLE, DEBIAN) == Choice(NEW)


def test_an_older_machine_gets_the_newest_that_runs_and_hears_why() -> None:
    assert resolve(TABLE, replace(DEBIAN, libc_version="2.31")) == Choice(
        OLD, "version 1.10.0 needs C library 2.36, this machine has 2.31"
    )


def test_other_names_of_systems_and_processors_are_understood() -> None:
    assert resolve(TABLE, Machine("Darwin", "arm64", "14.5")) == Choice(MAC)


def test_a_store_is_named_for_systems_that_have_one() -> None:
    assert resolve(TABLE, Machine("Android", os_version="14")) == Choice(PLAY)
    assert resolve(TABLE, Machine("android")) == Choice(PLAY, unchecked=("Android 10",))


def test_what_is_not_known_is_not_held_against_a_build_but_told() -> None:
    assert resolve(TABLE, Machine("linux")) == Choice(NEW, "", ("x86_64", "glibc", "C library 2.36"))


@pytest.mark.parametrize(
    ("machine", "why", "said"),
    [
        (Machine("BeOS"), Mismatch.OS_NOT_SUPPORTED, "there is no Buckler for BeOS"),
        (Machine(""), Mismatch.OS_NOT_SUPPORTED, "a system without a name"),
        (Machine("windows"), Mismatch.OS_NOT_SUPPORTED, "windows"),
        (replace(DEBIAN, architecture="i686"), Mismatch.ARCHITECTURE_NOT_BUILT, "processor is i686"),
        (replace(DEBIAN, libc="musl"), Mismatch.LIBC_NOT_BUILT, "C library is musl"),
        (replace(DEBIAN, format="rpm"), Mismatch.FORMAT_NOT_BUILT, "built for deb"),
        (replace(DEBIAN, version="2.0"), Mismatch.VERSION_UNKNOWN, "1.10.0 or 1.9.0"),
        (replace(DEBIAN, version="latest"), Mismatch.VERSION_UNKNOWN, "version latest"),
        (replace(DEBIAN, libc_version="2.28"), Mismatch.SYSTEM_TOO_OLD, "at least C library 2.31"),
        (Machine("macos", "aarch64", "12.7"), Mismatch.SYSTEM_TOO_OLD, "at least macOS 13"),
        (Machine("android", os_version="9"), Mismatch.SYSTEM_TOO_OLD, "at least Android 10"),
    ],
)
def test_what_does_not_fit_is_explained(machine: Machine, why: Mismatch, said: str) -> None:
    explained = resolve(TABLE, machine)
    assert isinstance(explained, Explained)
    assert explained.why is why
    assert said in explained.message
    assert explained.next_step


def test_versions_are_read_as_far_as_they_are_numbers() -> None:
    assert numbers("10.0.19045-beta") == (10, 0, 19045)
    assert numbers("2.0.0") == numbers("2") == (2,)
    assert numbers("rolling") == ()
    assert known_os("Darwin") is Os.MACOS
    assert known_os("plan9") is None
