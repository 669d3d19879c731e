"""Taking files and giving them back, on a real file system."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.domain.exclusions import ExclusionKind, file_subject
from agent.domain.incident import IncidentAction
from agent.domain.quarantine import CaptureFailure, CaptureState
from agent.quarantine.steps import Step
from tests.unit.agent.quarantine.scene import FOUND, INFECTED, Scene, scanned, without_digest


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def refused(scene: Scene, entry_id: str, destination: str | None = None, *, allow: bool = False) -> str:
    with pytest.raises(BucklerError) as caught:
        await scene.vault.restore(entry_id, destination, allow=allow)
    assert caught.value.next_step
    return caught.value.code


def content_of(path: str) -> bytes:
    return Path(path).read_bytes()


# ---------------------------------------------------------------- capture


async def test_a_captured_file_is_sealed_in_the_vault_and_nowhere_else(scene: Scene) -> None:
    path = scene.infected()
    entry = await scene.vault.capture(scanned(path))
    assert (entry.state, entry.detail) == (CaptureState.DONE, "")
    assert scene.entry(entry.id) == entry
    assert (scene.names(), scene.staged(), scene.sealed()) == ([], [], [f"{entry.id}.bkq"])
    assert INFECTED not in (scene.vault_dir / f"{entry.id}.bkq").read_bytes()
    assert scene.steps == [
        Step.PLANNED,
        Step.MOVED,
        Step.CAPTURED,
        Step.SEALED,
        Step.STORED,
        Step.REMOVED,
        Step.FINISHED,
    ]


async def test_the_incident_of_a_capture_says_everything_the_fleet_has_to_know(scene: Scene) -> None:
    request = scanned(scene.infected())
    entry = await scene.vault.capture(request)
    (incident,) = scene.incidents()
    assert incident.uuid == request.incident_uuid
    assert (incident.action, incident.action_detail) == (IncidentAction.QUARANTINED, "")
    assert (incident.path, incident.sha256, incident.size_bytes) == (request.path, entry.sha256, len(INFECTED))
    assert (incident.findings, incident.origin, incident.detected_at) == (FOUND, request.origin, request.detected_at)
    assert (incident.engine, incident.signatures_version) == ("yara 4.5.4", "7")
    assert incident.quarantine_id == entry.id


async def test_vault_key_and_seals_are_readable_to_their_owner_only(scene: Scene) -> None:
    await scene.vault.capture(scanned(scene.infected()))
    assert stat.S_IMODE(scene.vault_dir.stat().st_mode) == 0o700
    for path in scene.vault_dir.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("name", ["two\nlines", "\udcff\udcfe\udc80.exe", "-rf *", ".hidden", "\x1b[31mred", "n" * 255])
async def test_any_name_a_kernel_can_hold_is_taken_and_given_back(scene: Scene, name: str) -> None:
    path = scene.infected(name)
    entry = await scene.vault.capture(scanned(path))
    assert (entry.state, entry.original_path) == (CaptureState.DONE, str(path))
    await scene.vault.restore(entry.id, None, allow=False)
    assert scene.names() == [name]


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 7])
async def test_files_of_every_size_survive_the_round_trip(scene: Scene, size: int) -> None:
    content = os.urandom(size)
    entry = await scene.vault.capture(scanned(scene.infected(content=content)))
    assert entry.state is CaptureState.DONE
    receipt = await scene.vault.restore(entry.id, None, allow=False)
    assert content_of(receipt.path) == content


async def test_many_files_are_taken_at_once(scene: Scene) -> None:
    requests = [scanned(scene.infected(f"evil{n}", INFECTED + bytes([n])), n) for n in range(1, 21)]
    entries = await asyncio.gather(*(scene.vault.capture(request) for request in requests))
    assert {entry.state for entry in entries} == {CaptureState.DONE}
    assert (scene.names(), scene.staged(), len(scene.sealed())) == ([], [], 20)
    assert len(scene.incidents()) == 20


async def test_of_a_file_with_several_names_only_the_found_one_is_taken(scene: Scene) -> None:
    path = scene.infected()
    (scene.home / "other name").hardlink_to(path)
    entry = await scene.vault.capture(scanned(path))
    assert entry.state is CaptureState.DONE
    assert "1 other name " in entry.detail
    assert scene.incidents()[0].action_detail == entry.detail
    assert (scene.home / "other name").read_bytes() == INFECTED


async def test_who_has_the_file_open_writes_nowhere(scene: Scene) -> None:
    path = scene.infected()
    with path.open("r+b") as writer:
        entry = await scene.vault.capture(scanned(path))
        writer.write(b"more")
        writer.flush()
        receipt = await scene.vault.restore(entry.id, None, allow=False)
    assert content_of(receipt.path) == INFECTED


async def test_touching_a_file_is_no_escape(scene: Scene) -> None:
    path = scene.infected()
    request = scanned(path)
    os.utime(path, ns=(1, 1))
    path.chmod(0o755)
    entry = await scene.vault.capture(request)
    assert entry.state is CaptureState.DONE
    assert entry.metadata.mode == 0o755


async def test_a_file_not_read_to_its_end_is_taken_if_nothing_about_it_has_changed(scene: Scene) -> None:
    entry = await scene.vault.capture(without_digest(scanned(scene.infected())))
    assert (entry.state, entry.sha256) == (CaptureState.DONE, "")


async def test_a_file_not_read_to_its_end_stays_if_its_times_have_changed(scene: Scene) -> None:
    path = scene.infected()
    request = without_digest(scanned(path))
    os.utime(path, ns=(1, 1))
    entry = await scene.vault.capture(request)
    assert entry.detail.startswith(CaptureFailure.CHANGED.value + ": ")
    assert path.read_bytes() == INFECTED


async def test_the_summary_counts_what_the_vault_holds(scene: Scene) -> None:
    entry = await scene.vault.capture(scanned(scene.infected()))
    held = await scene.vault.retained()
    assert (held.count, held.size_bytes, held.oldest_at) == (1, len(INFECTED), entry.planned_at)
    await scene.vault.delete(entry.id)
    assert (await scene.vault.retained()).count == 0


# ---------------------------------------------------------------- what cannot be taken


def spoil_file(scene: Scene, path: Path, how: str) -> Path:
    """Do to a scanned file what an attacker, or anybody, may do; returns a file outside that must stay as it is."""
    outside = scene.root / "outside" / path.name
    outside.parent.mkdir()
    outside.write_bytes(INFECTED)
    match how:
        case "vanished":
            path.unlink()
        case "rewritten":
            path.write_bytes(INFECTED[::-1])
        case "grown":
            path.write_bytes(INFECTED * 2)
        case "replaced":
            path.rename(scene.home / "kept")
            path.write_bytes(INFECTED)
        case "fifo":
            path.unlink()
            os.mkfifo(path)
        case "folder":
            path.unlink()
            path.mkdir()
        case "link":
            path.unlink()
            path.symlink_to(outside)
        case "folder_link":
            scene.home.rename(scene.root / "moved")
            scene.home.symlink_to(outside.parent)
        case _:
            path.unlink()
            scene.home.rmdir()
    return outside


@pytest.mark.parametrize(
    ("spoil", "failure"),
    [
        ("vanished", CaptureFailure.VANISHED),
        ("rewritten", CaptureFailure.CHANGED),
        ("grown", CaptureFailure.CHANGED),
        ("replaced", CaptureFailure.CHANGED),
        ("fifo", CaptureFailure.NOT_A_FILE),
        ("folder", CaptureFailure.NOT_A_FILE),
        ("link", CaptureFailure.NOT_A_FILE),
        ("folder_link", CaptureFailure.SYMLINK),
        ("folder_gone", CaptureFailure.VANISHED),
    ],
)
async def test_a_file_that_is_not_the_scanned_one_stays_and_is_reported(
    scene: Scene, spoil: str, failure: CaptureFailure
) -> None:
    path = scene.infected()
    request = scanned(path)
    outside = spoil_file(scene, path, spoil)
    entry = await scene.vault.capture(request)
    assert entry.state is CaptureState.FAILED
    assert entry.detail.startswith(f"{failure.value}: ")
    assert scene.entry(entry.id) == entry
    (incident,) = scene.incidents()
    assert (incident.action, incident.action_detail) == (IncidentAction.QUARANTINE_FAILED, entry.detail)
    assert outside.read_bytes() == INFECTED
    assert (scene.sealed(), scene.staged()) == ([], [])


async def test_a_file_exchanged_between_the_check_and_the_move_goes_back(scene: Scene) -> None:
    path = scene.infected()

    def exchange(entry_id: str, step: Step) -> None:
        if step is Step.PLANNED:
            path.unlink()
            path.write_bytes(b"innocent")

    scene.after_step = exchange
    entry = await scene.vault.capture(scanned(path))
    assert entry.detail.startswith("changed: ")
    assert path.read_bytes() == b"innocent"
    assert (scene.sealed(), scene.staged()) == ([], [])


async def test_a_link_put_in_place_between_the_check_and_the_move_goes_back_unfollowed(scene: Scene) -> None:
    path, outside = scene.infected(), scene.root / "outside"
    outside.write_bytes(b"outside")

    def exchange(entry_id: str, step: Step) -> None:
        if step is Step.PLANNED:
            path.unlink()
            path.symlink_to(outside)

    scene.after_step = exchange
    entry = await scene.vault.capture(scanned(path))
    assert entry.state is CaptureState.FAILED
    assert path.is_symlink()
    assert outside.read_bytes() == b"outside"


async def test_a_file_written_to_after_the_move_goes_back(scene: Scene) -> None:
    path = scene.infected()
    with path.open("r+b", buffering=0) as writer:

        def write(entry_id: str, step: Step) -> None:
            if step is Step.CAPTURED:
                writer.write(b"X")

        scene.after_step = write
        entry = await scene.vault.capture(scanned(path))
    assert entry.detail.startswith("changed: ")
    assert path.read_bytes() == b"X" + INFECTED[1:]
    assert (scene.sealed(), scene.staged()) == ([], [])


async def test_going_back_never_overwrites_what_took_the_name_meanwhile(scene: Scene) -> None:
    path = scene.infected()

    def interfere(entry_id: str, step: Step) -> None:
        if step is Step.PLANNED:
            path.unlink()
            path.write_bytes(b"first")
        if step is Step.MOVED:
            path.write_bytes(b"second")

    scene.after_step = interfere
    entry = await scene.vault.capture(scanned(path))
    beside = scene.home / f"{path.name}.{entry.id}"
    assert beside.name in entry.detail
    assert (path.read_bytes(), beside.read_bytes()) == (b"second", b"first")


async def test_a_file_goes_back_to_its_folder_even_if_that_was_exchanged_for_a_link(scene: Scene) -> None:
    path, moved, outside = scene.infected("evil\udcff"), scene.root / "moved", scene.root / "outside"
    outside.mkdir()

    def interfere(entry_id: str, step: Step) -> None:
        if step is Step.PLANNED:
            path.unlink()
            path.write_bytes(b"first")
        if step is Step.MOVED:
            path.write_bytes(b"second")
            scene.home.rename(moved)
            scene.home.symlink_to(outside)

    scene.after_step = interfere
    entry = await scene.vault.capture(scanned(path))
    assert sorted(file.read_bytes() for file in moved.iterdir()) == [b"first", b"second"]
    assert list(outside.iterdir()) == []
    # It travels in a text field of the protocol, whatever the name was.
    assert entry.detail.encode("utf-8")


async def test_what_cannot_go_back_is_kept_and_its_row_says_where(scene: Scene) -> None:
    path = scene.infected()

    def interfere(entry_id: str, step: Step) -> None:
        if step is Step.PLANNED:
            path.unlink()
            path.write_bytes(b"innocent")
        if step is Step.MOVED:
            scene.home.rmdir()

    scene.after_step = interfere
    entry = await scene.vault.capture(scanned(path))
    assert entry.state is CaptureState.FAILED
    assert entry.staged_path in entry.detail
    assert content_of(entry.staged_path) == b"innocent"


async def test_a_vault_that_is_somebody_elses_takes_nothing_and_says_so(scene: Scene) -> None:
    path = scene.infected()
    scene.vault_dir.parent.mkdir()
    scene.vault_dir.write_bytes(b"a file where the vault should be")
    entry = await scene.vault.capture(scanned(path))
    assert entry.state is CaptureState.FAILED
    assert path.read_bytes() == INFECTED
    assert len(scene.incidents()) == 1


async def test_a_damaged_key_is_told_before_anything_is_moved(scene: Scene) -> None:
    path = scene.infected()
    scene.vault_dir.mkdir(parents=True)
    (scene.vault_dir / "vault.key").write_bytes(b"short")
    with pytest.raises(BucklerError) as caught:
        await scene.vault.capture(scanned(path))
    assert caught.value.code == "VAULT_DAMAGED"
    assert path.read_bytes() == INFECTED


# ---------------------------------------------------------------- restore


async def test_a_restored_file_is_the_same_in_every_respect(scene: Scene) -> None:
    path = scene.infected()
    path.chmod(0o4751)
    os.setxattr(path, "user.note", b"\0bytes\xff")
    os.utime(path, ns=(1_111_111_111_222_222_222, 1_000_000_000_123_456_789))
    before = path.stat()
    entry = await scene.vault.capture(scanned(path))
    receipt = await scene.vault.restore(entry.id, None, allow=False)
    after = path.stat()
    assert receipt.path == str(path)
    assert path.read_bytes() == INFECTED
    os.utime(path, ns=(after.st_atime_ns, after.st_mtime_ns))
    for fact in ("st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns"):
        assert getattr(after, fact) == getattr(before, fact), fact
    assert after.st_atime_ns == entry.metadata.accessed_ns
    assert os.getxattr(path, "user.note") == b"\0bytes\xff"
    assert scene.entry(entry.id).state is CaptureState.RESTORED
    assert scene.sealed() == []


async def test_a_restore_never_overwrites(scene: Scene) -> None:
    path = scene.infected()
    entry = await scene.vault.capture(scanned(path))
    path.write_bytes(b"new")
    assert await refused(scene, entry.id) == "RESTORE_WOULD_OVERWRITE"
    assert path.read_bytes() == b"new"
    assert scene.names() == [path.name]
    assert scene.entry(entry.id).state is CaptureState.DONE


async def test_a_name_taken_while_the_file_is_being_written_is_not_overwritten(scene: Scene) -> None:
    path = scene.infected()
    entry = await scene.vault.capture(scanned(path))

    def interfere(entry_id: str, step: Step) -> None:
        if step is Step.RESTORE_WRITTEN:
            path.write_bytes(b"new")

    scene.after_step = interfere
    assert await refused(scene, entry.id, allow=True) == "RESTORE_WOULD_OVERWRITE"
    assert (path.read_bytes(), scene.names()) == (b"new", [path.name])
    with scene.store.transaction() as tables:
        assert tables.exclusions.all() == ()


async def test_a_restore_goes_to_another_folder_or_another_name(scene: Scene) -> None:
    elsewhere = scene.root / "elsewhere"
    elsewhere.mkdir()
    first = await scene.vault.capture(scanned(scene.infected("one"), 1))
    second = await scene.vault.capture(scanned(scene.infected("two"), 2))
    to_folder = await scene.vault.restore(first.id, f"{elsewhere}/", allow=False)
    to_name = await scene.vault.restore(second.id, str(elsewhere / "renamed"), allow=False)
    assert (to_folder.path, to_name.path) == (str(elsewhere / "one"), str(elsewhere / "renamed"))
    assert (elsewhere / "one").read_bytes() == (elsewhere / "renamed").read_bytes() == INFECTED
    assert scene.entry(first.id).restore_path == to_folder.path


@pytest.mark.parametrize("destination", ["relative/name", "/nowhere/at/all", "/tmp/../tmp/name"])
async def test_a_destination_without_a_proper_folder_is_refused(scene: Scene, destination: str) -> None:
    entry = await scene.vault.capture(scanned(scene.infected()))
    assert await refused(scene, entry.id, destination) == "RESTORE_NO_FOLDER"


async def test_a_restore_follows_no_link_not_even_one_in_the_old_path(scene: Scene) -> None:
    entry = await scene.vault.capture(scanned(scene.infected()))
    outside = scene.root / "outside"
    outside.mkdir()
    scene.home.rmdir()
    scene.home.symlink_to(outside)
    assert await refused(scene, entry.id) == "RESTORE_NO_FOLDER"
    assert list(outside.iterdir()) == []


async def test_content_is_allowed_before_it_appears(scene: Scene) -> None:
    path = scene.infected()
    entry = await scene.vault.capture(scanned(path))
    seen: list[tuple[str, bool]] = []

    def look(entry_id: str, step: Step) -> None:
        if step is Step.RESTORE_PLANNED:
            with scene.store.transaction() as tables:
                seen.extend((e.value, path.exists()) for e in tables.exclusions.all())

    scene.after_step = look
    receipt = await scene.vault.restore(entry.id, None, allow=True)
    assert seen == [(file_subject(entry.sha256, str(path)), False)]
    with scene.store.transaction() as tables:
        (exclusion,) = tables.exclusions.all()
    assert (exclusion.id, exclusion.kind, exclusion.value) == (
        receipt.exclusion_id,
        ExclusionKind.FILE,
        file_subject(entry.sha256, str(path)),
    )
    assert entry.id in exclusion.reason


async def test_content_that_is_allowed_in_its_place_already_is_not_allowed_twice(scene: Scene) -> None:
    receipts = []
    for _ in range(2):
        path = scene.infected()
        entry = await scene.vault.capture(scanned(path))
        receipts.append(await scene.vault.restore(entry.id, None, allow=True))
        path.unlink()
    assert receipts[0].exclusion_id == receipts[1].exclusion_id
    with scene.store.transaction() as tables:
        assert len(tables.exclusions.all()) == 1


async def test_content_that_was_never_hashed_is_hashed_before_it_is_allowed(scene: Scene) -> None:
    path = scene.infected()
    request = scanned(path)
    entry = await scene.vault.capture(without_digest(request))
    await scene.vault.restore(entry.id, None, allow=True)
    with scene.store.transaction() as tables:
        assert [e.value for e in tables.exclusions.all()] == [file_subject(request.facts.sha256, str(path))]


async def test_an_entry_is_restored_once_and_unknown_ones_not_at_all(scene: Scene) -> None:
    entry = await scene.vault.capture(scanned(scene.infected()))
    await scene.vault.restore(entry.id, None, allow=False)
    assert await refused(scene, entry.id) == "QUARANTINE_NOT_HELD"
    assert await refused(scene, "q_0000000000000000") == "QUARANTINE_UNKNOWN"
    assert await refused(scene, "../../etc/passwd") == "QUARANTINE_UNKNOWN"


async def test_two_restores_at_once_give_one_file(scene: Scene) -> None:
    entry = await scene.vault.capture(scanned(scene.infected(content=os.urandom(4 << 20))))
    outcomes = await asyncio.gather(
        *(scene.vault.restore(entry.id, None, allow=False) for _ in range(6)), return_exceptions=True
    )
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(errors) == 5
    for error in errors:
        assert isinstance(error, BucklerError)
        assert error.code in {"QUARANTINE_BUSY", "QUARANTINE_NOT_HELD", "VAULT_DAMAGED"}
    assert scene.names() == ["evil.exe"]


@pytest.mark.parametrize("damage", ["flip", "cut", "swap", "remove"])
async def test_a_damaged_seal_gives_nothing_back_and_says_so(scene: Scene, damage: str) -> None:
    entry = await scene.vault.capture(scanned(scene.infected("one"), 1))
    other = await scene.vault.capture(scanned(scene.infected("two"), 2))
    sealed = scene.vault_dir / f"{entry.id}.bkq"
    data = sealed.read_bytes()
    match damage:
        case "flip":
            sealed.write_bytes(data[:60] + bytes([data[60] ^ 1]) + data[61:])
        case "cut":
            sealed.write_bytes(data[:-1])
        case "swap":
            sealed.write_bytes((scene.vault_dir / f"{other.id}.bkq").read_bytes())
        case "remove":
            sealed.unlink()
    assert await refused(scene, entry.id, allow=True) == "VAULT_DAMAGED"
    assert scene.names() == []
    with scene.store.transaction() as tables:
        assert tables.exclusions.all() == ()


# ---------------------------------------------------------------- delete


async def test_a_deleted_file_is_gone_and_its_row_stays(scene: Scene) -> None:
    entry = await scene.vault.capture(scanned(scene.infected()))
    await scene.vault.delete(entry.id)
    assert scene.sealed() == []
    assert scene.entry(entry.id).state is CaptureState.DELETED
    with pytest.raises(BucklerError) as caught:
        await scene.vault.delete(entry.id)
    assert caught.value.code == "QUARANTINE_NOT_HELD"


async def test_an_entry_whose_seal_was_removed_by_hand_can_be_given_up(scene: Scene) -> None:
    entry = await scene.vault.capture(scanned(scene.infected()))
    (scene.vault_dir / f"{entry.id}.bkq").unlink()
    await scene.vault.delete(entry.id)
    assert scene.entry(entry.id).state is CaptureState.DELETED


# ---------------------------------------------------------------- what is ours


async def test_the_vault_and_its_staging_are_its_own_business(scene: Scene) -> None:
    entry = await scene.vault.capture(scanned(scene.infected()))
    assert scene.vault.is_vault_path(f"{scene.vault_dir}/{entry.id}.bkq")
    assert scene.vault.is_vault_path(f"{scene.vault_dir}/staging/{entry.id}")
    assert scene.vault.is_vault_path(str(scene.vault_dir))
    assert not scene.vault.is_vault_path(f"{scene.vault_dir}-not/file")
    assert not scene.vault.is_vault_path(f"{scene.home}/.buckler-vault-{os.geteuid()}/evil.exe")
