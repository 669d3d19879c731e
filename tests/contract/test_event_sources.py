"""What every event source does, the fake included."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.domain.files import EventKind, FileEvent, FolderAppeared, RootLost, SourceEvent
from agent.domain.ports import EventSource
from agent.platform.clock import SystemClock
from agent.realtime.sources.fanotify import FanotifySource
from agent.realtime.sources.watchdog import WatchdogSource
from tests.fakes.event_source import FakeEventSource
from tests.fakes.waiting import until
from tests.scratch_mounts import needs_root, open_descriptors, scratch_tmpfs


@dataclass
class Stage:
    """A source on a scratch folder, and hands that tell the fake what the kernel tells the real ones."""

    source: EventSource
    root: Path
    outside: Path
    excluded: Path
    events: list[SourceEvent] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    kinds: dict[str, set[EventKind]] = field(default_factory=dict)
    flags: set[int] = field(default_factory=set)

    def open(self) -> None:
        self.source.open([str(self.root)], self.take)

    def take(self, event: SourceEvent) -> None:
        self.events.append(event)
        if isinstance(event, FileEvent):
            self._take_file(event)
        elif isinstance(event, FolderAppeared):
            for path in Path(event.path).rglob("*"):
                if path.is_file():
                    self.contents[str(path)] = path.read_bytes()

    def _take_file(self, event: FileEvent) -> None:
        status = os.fstat(event.descriptor)
        assert (status.st_dev, status.st_ino) == (event.identity.device, event.identity.inode)
        self.contents[event.path] = os.pread(event.descriptor, 1 << 16, 0)
        self.kinds.setdefault(event.path, set()).add(event.kind)
        self.flags.add(fcntl.fcntl(event.descriptor, fcntl.F_GETFL) & os.O_ACCMODE)
        assert not os.get_inheritable(event.descriptor)
        os.close(event.descriptor)

    def write(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        self._tell(lambda fake: fake.wrote(path))

    def move(self, source: Path, destination: Path) -> None:
        source.rename(destination)
        self._tell(lambda fake: fake.appeared(destination))

    def link(self, source: Path, destination: Path) -> None:
        os.link(source, destination)
        self._tell(lambda fake: fake.appeared(destination))

    def lose_root(self) -> None:
        self.root.rename(self.outside / "gone")
        self._tell(lambda fake: fake.lose_root(self.root))

    async def sees(self, path: Path, content: bytes) -> bool:
        """Wait until the file is told with this content."""
        await until(lambda: self.contents.get(str(path)) == content)
        return True

    def _tell(self, tell: Callable[[FakeEventSource], None]) -> None:
        if isinstance(self.source, FakeEventSource):
            tell(self.source)


def _nobody() -> frozenset[int]:
    return frozenset()


def build(kind: str, excluded: str) -> EventSource:
    if kind == "fake":
        return FakeEventSource([excluded])
    if kind == "watchdog":
        return WatchdogSource(excluded=[excluded], clock=SystemClock())
    return FanotifySource(excluded=[excluded], own_pids=_nobody, clock=SystemClock())


@pytest.fixture(
    params=["fake", "watchdog", pytest.param("fanotify", marks=[pytest.mark.root, needs_root])], name="stage"
)
def on_scratch_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_tmpfs(tmp_path / "disk")) if request.param == "fanotify" else tmp_path
        root, outside = folder / "root", folder / "outside"
        excluded = root / "vault"
        for made in (root, outside, excluded):
            made.mkdir()
        source = build(request.param, str(excluded))
        stack.callback(source.close)
        yield Stage(source, root, outside, excluded)


async def test_a_written_file_is_told_when_it_is_closed_with_its_content(stage: Stage) -> None:
    stage.open()
    stage.write(stage.root / "a.txt", b"hello")
    assert await stage.sees(stage.root / "a.txt", b"hello")
    assert EventKind.CLOSED_AFTER_WRITE in stage.kinds[str(stage.root / "a.txt")]
    assert stage.flags == {os.O_RDONLY}


async def test_a_file_written_again_is_told_again(stage: Stage) -> None:
    stage.open()
    for content in (b"one", b"two", b"three"):
        stage.write(stage.root / "a.txt", content)
        assert await stage.sees(stage.root / "a.txt", content)


async def test_a_file_moved_in_is_told(stage: Stage) -> None:
    (stage.outside / "a.txt").write_bytes(b"moved")
    stage.open()
    stage.move(stage.outside / "a.txt", stage.root / "b.txt")
    assert await stage.sees(stage.root / "b.txt", b"moved")


async def test_a_file_renamed_inside_is_told_under_its_new_name(stage: Stage) -> None:
    (stage.root / "a.txt").write_bytes(b"moved")
    stage.open()
    stage.move(stage.root / "a.txt", stage.root / "b.txt")
    assert await stage.sees(stage.root / "b.txt", b"moved")


async def test_a_hard_link_is_told_even_if_the_other_name_is_gone_at_once(stage: Stage) -> None:
    (stage.outside / "a.txt").write_bytes(b"linked")
    stage.open()
    stage.link(stage.outside / "a.txt", stage.root / "b.txt")
    (stage.outside / "a.txt").unlink()
    assert await stage.sees(stage.root / "b.txt", b"linked")


async def test_a_second_name_of_a_file_just_written_is_told_too(stage: Stage) -> None:
    stage.open()
    stage.write(stage.root / "a.txt", b"linked")
    stage.link(stage.root / "a.txt", stage.root / "b.txt")
    (stage.root / "a.txt").unlink()
    assert await stage.sees(stage.root / "b.txt", b"linked")


async def test_everything_in_a_folder_that_is_moved_in_is_told(stage: Stage) -> None:
    (stage.outside / "album" / "deep").mkdir(parents=True)
    (stage.outside / "album" / "deep" / "a.txt").write_bytes(b"deep")
    stage.open()
    stage.move(stage.outside / "album", stage.root / "album")
    assert await stage.sees(stage.root / "album" / "deep" / "a.txt", b"deep")


async def test_files_in_folders_made_a_moment_ago_are_told(stage: Stage) -> None:
    stage.open()
    expected = {}
    for number in range(50):
        folder = stage.root / f"{number}" / "deep" / "deeper"
        folder.mkdir(parents=True)
        stage.write(folder / "a.txt", b"x%d" % number)
        expected[str(folder / "a.txt")] = b"x%d" % number
    await until(lambda: len(expected.keys() - stage.contents.keys()) == 0)
    assert expected.items() <= stage.contents.items()


@pytest.mark.parametrize("name", [b"new\nline", b"not-utf8-\xff\xfe", b" (deleted)", b"-rf \\ ' \""])
async def test_any_name_a_kernel_can_hold_comes_through(stage: Stage, name: bytes) -> None:
    stage.open()
    path = stage.root / os.fsdecode(name)
    stage.write(path, b"x")
    assert await stage.sees(path, b"x")


async def test_only_regular_files_are_told(stage: Stage) -> None:
    (stage.outside / "target").write_bytes(b"target")
    stage.open()
    (stage.root / "link").symlink_to(stage.outside / "target")
    os.mkfifo(stage.outside / "fifo")
    stage.move(stage.outside / "fifo", stage.root / "fifo")
    stage.move(stage.root / "link", stage.root / "link2")
    stage.write(stage.root / "last", b"last")
    assert await stage.sees(stage.root / "last", b"last")
    assert set(stage.contents) == {str(stage.root / "last")}


async def test_nothing_outside_the_roots_or_in_our_own_folders_is_told(stage: Stage) -> None:
    stage.open()
    stage.write(stage.outside / "a.txt", b"x")
    stage.write(stage.excluded / "a.txt", b"x")
    stage.move(stage.outside / "a.txt", stage.excluded / "b.txt")
    stage.write(stage.root / "last", b"last")
    assert await stage.sees(stage.root / "last", b"last")
    assert set(stage.contents) == {str(stage.root / "last")}


async def test_a_root_that_goes_away_is_told(stage: Stage) -> None:
    stage.open()
    stage.lose_root()
    await until(lambda: any(isinstance(event, RootLost) for event in stage.events))
    lost = next(event for event in stage.events if isinstance(event, RootLost))
    assert lost.root == str(stage.root)
    assert lost.reason


async def test_a_missing_root_is_refused_and_leaves_nothing_open(stage: Stage) -> None:
    before = open_descriptors()
    with pytest.raises(BucklerError) as refusal:
        stage.source.open([str(stage.root), str(stage.root / "missing")], stage.take)
    assert refusal.value.code == "ROOT_UNREADABLE"
    assert str(stage.root / "missing") in refusal.value.message
    assert open_descriptors() == before


async def test_closing_is_repeatable_and_a_closed_source_can_be_opened_again(stage: Stage) -> None:
    before = open_descriptors()
    stage.open()
    stage.source.close()
    stage.source.close()
    assert open_descriptors() == before
    stage.write(stage.root / "unseen.txt", b"x")
    stage.open()
    stage.write(stage.root / "a.txt", b"again")
    assert await stage.sees(stage.root / "a.txt", b"again")
    assert str(stage.root / "unseen.txt") not in stage.contents
