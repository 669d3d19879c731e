from hypothesis import given
from hypothesis import strategies as st

from controlplane.catalog.model import Os
from controlplane.downloads.model import (
    Artifact,
    Choice,
    DownloadTable,
    Libc,
    Machine,
    StoreLink,
    known_architecture,
    known_os,
    numbers,
    resolve,
)

VERSIONS = st.sampled_from(["", "1", "1.2", "1.10", "2.0.1"])
ARCHITECTURES = ("x86_64", "aarch64")
ARTIFACTS = st.builds(
    Artifact,
    os=st.sampled_from([Os.LINUX, Os.MACOS, Os.WINDOWS]),
    architecture=st.sampled_from(ARCHITECTURES),
    libc=st.none() | st.sampled_from(Libc),
    version=VERSIONS.filter(bool),
    format=st.sampled_from(["deb", "wheel"]),
    needs=VERSIONS,
    url=st.just("https://downloads.example.com/file"),
    sha256=st.just("a" * 64),
    size_bytes=st.just(1),
)
TABLES = st.builds(
    DownloadTable,
    version=st.just(1),
    artifacts=st.lists(ARTIFACTS, max_size=8).map(tuple),
    stores=st.lists(st.builds(StoreLink, st.sampled_from([Os.ANDROID, Os.IOS]), VERSIONS, st.just("u"))).map(tuple),
)
MACHINES = st.builds(
    Machine,
    os=st.sampled_from([os.value for os in Os]) | st.text(max_size=8),
    architecture=st.sampled_from(["", "amd64", "arm64", "i686"]),
    os_version=VERSIONS,
    libc=st.sampled_from(["", "glibc", "musl"]),
    libc_version=VERSIONS,
    version=VERSIONS,
    format=st.sampled_from(["", "deb", "wheel", "rpm"]),
)


def fits(artifact: Artifact, machine: Machine) -> bool:
    has = machine.libc_version if artifact.os is Os.LINUX else machine.os_version
    return (
        artifact.os is known_os(machine.os)
        and (not machine.architecture or artifact.architecture == known_architecture(machine.architecture))
        and (not machine.libc or artifact.libc is None or artifact.libc.value == machine.libc)
        and (not machine.format or artifact.format == machine.format)
        and (not machine.version or numbers(artifact.version) == numbers(machine.version))
        and (not artifact.needs or not has or numbers(artifact.needs) <= numbers(has))
    )


@given(TABLES, MACHINES)
def test_the_newest_build_that_fits_is_found_exactly_if_there_is_one(table: DownloadTable, machine: Machine) -> None:
    fitting = [artifact for artifact in table.artifacts if fits(artifact, machine)]
    answer = resolve(table, machine)
    if fitting:
        assert isinstance(answer, Choice)
        assert answer.found in fitting
        assert isinstance(answer.found, Artifact)
        assert numbers(answer.found.version) == max(numbers(each.version) for each in fitting)
    elif isinstance(answer, Choice):
        assert answer.found in table.stores
