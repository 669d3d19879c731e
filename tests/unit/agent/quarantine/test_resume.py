"""What a restart makes of what a crash left; the crashes themselves are in tests/integration/quarantine."""

from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.domain.exclusions import file_subject
from agent.domain.incident import IncidentAction
from agent.domain.quarantine import CaptureState
from agent.quarantine.steps import Step
from tests.fakes.store import MemoryStore
from tests.unit.agent.quarantine.scene import INFECTED, PowerCutError, Scene, crash, scanned


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def restarted(scene: Scene) -> int:
    return await scene.new_vault(seed=1).resume()


@pytest.mark.parametrize("at", [Step.CAPTURED, Step.SEALED, Step.STORED, Step.REMOVED], ids=lambda step: step.value)
async def test_a_capture_is_finished_from_every_step(scene: Scene, at: Step) -> None:
    await crash(scene, scene.infected(), at)
    (entry,) = scene.entries()
    assert scene.incidents() == []
    assert await restarted(scene) == 1
    assert scene.entry(entry.id).state is CaptureState.DONE
    assert [row.action for row in scene.incidents()] == [IncidentAction.QUARANTINED]
    assert (scene.names(), scene.staged(), scene.sealed()) == ([], [], [f"{entry.id}.bkq"])
    assert await restarted(scene) == 0


async def test_a_capture_that_is_finished_needs_nothing(scene: Scene) -> None:
    await crash(scene, scene.infected(), Step.FINISHED)
    assert await restarted(scene) == 0
    assert len(scene.incidents()) == 1


@pytest.mark.parametrize("at", [Step.PLANNED, Step.MOVED], ids=lambda step: step.value)
async def test_a_file_without_a_row_goes_back_and_can_be_taken_again(scene: Scene, at: Step) -> None:
    path = scene.infected()
    before = path.stat()
    await crash(scene, path, at)
    assert scene.entries() == []
    assert await restarted(scene) == (at is Step.MOVED)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (path.read_bytes(), scene.staged(), scene.incidents()) == (INFECTED, [], [])
    entry = await scene.vault.capture(scanned(path))
    assert entry.state is CaptureState.DONE


async def test_a_file_without_a_row_overwrites_nothing_on_its_way_back(scene: Scene) -> None:
    path = scene.infected()
    await crash(scene, path, Step.MOVED)
    assert scene.entries() == []
    path.write_bytes(b"somebody else's by now")
    assert await restarted(scene) == 1
    assert path.read_bytes() == b"somebody else's by now"
    (beside,) = set(scene.names()) - {path.name}
    assert (scene.home / beside).read_bytes() == INFECTED
    assert scene.staged() == []


async def test_a_file_whose_folder_is_gone_waits_with_its_note_for_the_folder(scene: Scene) -> None:
    path = scene.infected()
    await crash(scene, path, Step.MOVED)
    assert scene.entries() == []
    scene.home.rmdir()
    assert await restarted(scene) == 0
    assert len(scene.staged()) == 2
    scene.home.symlink_to(scene.root)
    assert await restarted(scene) == 0
    scene.home.unlink()
    scene.home.mkdir()
    assert await restarted(scene) == 1
    assert (path.read_bytes(), scene.staged()) == (INFECTED, [])


async def test_a_file_for_which_no_row_can_be_written_is_back_in_its_place(tmp_path: Path) -> None:
    store = MemoryStore()
    scene = Scene(tmp_path, store)

    def disk_full(entry_id: str, step: Step) -> None:
        if step is Step.MOVED:
            store.fail_next = BucklerError("DATABASE_FULL", "the disk is full", next_step="free some space")

    scene.after_step = disk_full
    path = scene.infected()
    with pytest.raises(BucklerError, match=r"^the disk is full"):
        await scene.vault.capture(scanned(path))
    assert (path.read_bytes(), scene.staged(), scene.entries()) == (INFECTED, [], [])


async def test_another_file_that_had_been_moved_goes_back_after_the_restart(scene: Scene) -> None:
    path = scene.infected()

    def exchange_then_cut(entry_id: str, step: Step) -> None:
        if step is Step.PLANNED:
            path.unlink()
            path.write_bytes(b"innocent")
        if step is Step.MOVED:
            raise PowerCutError

    scene.after_step = exchange_then_cut
    with pytest.raises(PowerCutError):
        await scene.vault.capture(scanned(path))
    scene.after_step = lambda entry_id, step: None
    assert await restarted(scene) == 1
    assert path.read_bytes() == b"innocent"
    assert (scene.staged(), scene.sealed()) == ([], [])


async def test_a_crash_right_after_a_file_went_back_does_not_take_it_again(scene: Scene) -> None:
    path = scene.infected()
    with path.open("r+b", buffering=0) as writer:

        def write_then_cut(entry_id: str, step: Step) -> None:
            if step is Step.CAPTURED:
                writer.write(b"X")
            if step is Step.RETURNED:
                raise PowerCutError

        scene.after_step = write_then_cut
        with pytest.raises(PowerCutError):
            await scene.vault.capture(scanned(path))
    scene.after_step = lambda entry_id, step: None
    assert await restarted(scene) == 1
    (entry,) = scene.entries()
    assert entry.detail.startswith("changed: ")
    assert path.read_bytes() == b"X" + INFECTED[1:]
    assert len(scene.incidents()) == 1


@pytest.mark.parametrize(
    ("at", "state"),
    [
        (Step.RESTORE_PLANNED, CaptureState.DONE),
        (Step.RESTORE_WRITTEN, CaptureState.DONE),
        (Step.RESTORE_PLACED, CaptureState.RESTORED),
        (Step.RESTORED, CaptureState.RESTORED),
    ],
    ids=lambda value: value.value,
)
async def test_a_restore_is_finished_or_undone(scene: Scene, at: Step, state: CaptureState) -> None:
    path = scene.infected()
    entry = await scene.vault.capture(scanned(path))

    def cut(entry_id: str, step: Step) -> None:
        if step is at:
            raise PowerCutError

    scene.after_step = cut
    with pytest.raises(PowerCutError):
        await scene.vault.restore(entry.id, None, allow=True)
    scene.after_step = lambda entry_id, step: None
    await restarted(scene)
    assert scene.entry(entry.id).state is state
    with scene.store.transaction() as tables:
        allowed = [exclusion.value for exclusion in tables.exclusions.all()]
    if state is CaptureState.RESTORED:
        assert (path.read_bytes(), scene.sealed(), allowed) == (INFECTED, [], [file_subject(entry.sha256, str(path))])
    else:
        assert (scene.names(), scene.sealed(), allowed) == ([], [f"{entry.id}.bkq"], [])


async def test_an_interrupted_restore_is_settled_by_the_next_one_without_a_restart(scene: Scene) -> None:
    entry = await scene.vault.capture(scanned(scene.infected()))

    def cut(entry_id: str, step: Step) -> None:
        if step is Step.RESTORE_PLANNED:
            raise PowerCutError

    scene.after_step = cut
    with pytest.raises(PowerCutError):
        await scene.vault.restore(entry.id, None, allow=True)
    scene.after_step = lambda entry_id, step: None
    receipt = await scene.vault.restore(entry.id, None, allow=False)
    assert receipt.exclusion_id == ""
    with scene.store.transaction() as tables:
        assert tables.exclusions.all() == ()


async def test_leftovers_of_finished_entries_are_swept_and_strangers_are_not_touched(scene: Scene) -> None:
    entry = await scene.vault.capture(scanned(scene.infected()))
    await scene.vault.delete(entry.id)
    (scene.vault_dir / f"{entry.id}.bkq").write_bytes(b"deleted, but a crash kept it")
    (scene.vault_dir / "q_1111111111111111.bkq.part").write_bytes(b"never finished")
    (scene.vault_dir / "q_2222222222222222.bkq").write_bytes(b"its row was lost with the database")
    await restarted(scene)
    assert scene.sealed() == ["q_2222222222222222.bkq"]
