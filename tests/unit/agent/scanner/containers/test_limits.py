"""Every family keeps every limit, and names it with its value."""

from collections.abc import Callable, Iterator

import pytest

from agent.domain.facts import Incomplete
from agent.platform.clock import SystemClock
from agent.scanner.containers import budget, libarchive_reader, seven_zip_library
from agent.scanner.containers.budget import Budget
from agent.scanner.containers.family import Content
from agent.scanner.containers.registry import FORMATS
from agent.scanner.containers.walk import Walk
from agent.scanner.limits import Limits
from tests.fakes.archives import ar_of, cpio_of, libarchive_of, shrink, tar_of, zip_of
from tests.fakes.disk_images import dmg_of, hfs_plus_of, udf_of
from tests.fakes.documents import mail_of, ole_of, onenote_of, pdf_of, rtf_of, tnef_of
from tests.fakes.old_archives import arj_of, binhex_of, chm_of, szdd_of
from tests.fakes.packages import cab_of, lha_of, rar5_of, rar_of, rpm_of
from tests.fakes.programs import elf_of, pe_of, universal_of
from tests.fakes.zips import PPMD, PPMD_CONTENT, Entry, zip_from

BODY = PPMD_CONTENT
MEMBERS = {"a": BODY, "b": BODY}
needs_seven_zip = pytest.mark.skipif(seven_zip_library.load() is None, reason="7-Zip's library is not there")
needs_libarchive = pytest.mark.skipif(libarchive_reader.load() is None, reason="libarchive is not installed")


def packed(pack: Callable[[], bytes], name: str, *marks: pytest.MarkDecorator) -> object:
    return pytest.param(pack, id=name, marks=marks)


CONTAINERS = [
    packed(lambda: zip_of(MEMBERS), "zip"),
    packed(lambda: zip_from(Entry("a", BODY, PPMD)), "zip, ppmd", needs_seven_zip),
    packed(lambda: tar_of(MEMBERS), "tar"),
    packed(lambda: shrink(BODY, "gz"), "gzip"),
    packed(lambda: shrink(BODY, "lzma"), "lzma"),
    packed(lambda: cpio_of(MEMBERS), "cpio", needs_libarchive),
    packed(lambda: ar_of(MEMBERS), "ar", needs_libarchive),
    packed(lambda: libarchive_of(MEMBERS, "7zip"), "7z", needs_libarchive),
    packed(lambda: rar_of(MEMBERS), "rar", needs_libarchive),
    packed(lambda: rar5_of(MEMBERS), "rar5", needs_libarchive),
    packed(lambda: cab_of(MEMBERS), "cab", needs_libarchive),
    packed(lambda: lha_of(MEMBERS), "lha", needs_libarchive),
    packed(lambda: rpm_of(MEMBERS), "rpm", needs_libarchive),
    packed(lambda: arj_of(MEMBERS), "arj", needs_seven_zip),
    packed(lambda: chm_of(MEMBERS), "chm", needs_seven_zip),
    packed(lambda: szdd_of(BODY), "szdd", needs_seven_zip),
    packed(lambda: udf_of(MEMBERS), "udf", needs_seven_zip),
    packed(lambda: hfs_plus_of(MEMBERS), "hfs", needs_seven_zip),
    packed(lambda: dmg_of(BODY), "dmg", needs_seven_zip),
    packed(lambda: binhex_of("a", BODY), "binhex"),
    packed(lambda: pe_of({10: BODY}), "windows program"),
    packed(lambda: elf_of(BODY), "appended to elf"),
    packed(lambda: universal_of([BODY]), "universal mach-o"),
    packed(lambda: ole_of(MEMBERS), "ole2"),
    packed(lambda: mail_of(MEMBERS), "mail"),
    packed(lambda: rtf_of(BODY), "rtf"),
    packed(lambda: pdf_of(BODY), "pdf"),
    packed(lambda: onenote_of(BODY), "onenote"),
    packed(lambda: tnef_of("a", BODY), "tnef"),
]
every_container = pytest.mark.parametrize("pack", CONTAINERS)


def walk(data: bytes, limits: Limits, monotonic_ns: Callable[[], int] | None = None) -> tuple[int, set[Incomplete]]:
    """How many contents were met, and what was not looked at without where."""
    met: list[Content] = []
    walk = Walk(FORMATS, Budget(limits, monotonic_ns or SystemClock().monotonic_ns), met.append)
    walk.run(Content(data, ("outer",)))
    return len(met), {Incomplete(item.reason, item.limit) for item in walk.incomplete}


@every_container
def test_the_container_is_whole_without_limits(pack: Callable[[], bytes]) -> None:
    count, incomplete = walk(pack(), Limits())
    assert count > 1
    assert incomplete == set()


@every_container
def test_depth(pack: Callable[[], bytes]) -> None:
    assert walk(pack(), Limits(max_depth=0)) == (1, {Incomplete("max_depth", 0)})


@every_container
def test_members(pack: Callable[[], bytes]) -> None:
    assert walk(pack(), Limits(max_members=0)) == (1, {Incomplete("max_members", 0)})


@every_container
def test_size_of_a_member(pack: Callable[[], bytes]) -> None:
    assert Incomplete("max_file_size", 100) in walk(pack(), Limits(max_file_size=100))[1]


@every_container
def test_expanded_size(pack: Callable[[], bytes]) -> None:
    assert Incomplete("max_expanded_size", 100) in walk(pack(), Limits(max_expanded_size=100))[1]


@every_container
def test_ratio(pack: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "RATIO_FLOOR", 0)
    assert Incomplete("max_ratio", 0) in walk(pack(), Limits(max_ratio=0))[1]


def ticks() -> Iterator[int]:
    yield 0
    while True:
        yield 3_000_000_000


@every_container
def test_time(pack: Callable[[], bytes]) -> None:
    clock = ticks()
    assert walk(pack(), Limits(timeout_s=2.5), lambda: next(clock)) == (1, {Incomplete("timeout", 3)})


def test_a_member_cut_off_by_the_depth_is_opened_where_it_is_met_less_deep() -> None:
    inner = zip_of({"secret": BODY})
    for names in (("deep", "shallow"), ("shallow", "deep")):
        members = {"deep": zip_of({"again": zip_of({"once more": inner})}), "shallow": inner}
        met: list[str] = []
        limited = Walk(
            FORMATS,
            Budget(Limits(max_depth=3), SystemClock().monotonic_ns),
            lambda content, met=met: met.append("!".join(content.trail)),  # type: ignore[misc]
        )
        limited.run(Content(zip_of({name: members[name] for name in names}), ("f",)))
        assert "f!shallow!secret" in met
        assert limited.incomplete == [Incomplete("max_depth", 3, ("f", "deep", "again", "once more"))]
