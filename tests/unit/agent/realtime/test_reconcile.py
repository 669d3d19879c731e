import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.realtime.life_sign import LIFE_SIGN, LIFE_SIGN_ROOTS
from tests.fakes.eicar import EICAR
from tests.fakes.file_times import instant_between
from tests.fakes.protected_folder import ProtectedFolder
from tests.fakes.waiting import until


def life_sign(stage: ProtectedFolder) -> int:
    return int(stage.setting(LIFE_SIGN) or 0)


def give_life_sign(stage: ProtectedFolder, ago: timedelta) -> None:
    put_life_sign(stage, int((stage.clock.now() - ago).timestamp() * 1e6))


def give_life_sign_now(stage: ProtectedFolder) -> None:
    put_life_sign(stage, instant_between(stage.outside) // 1000)


def put_life_sign(stage: ProtectedFolder, at_us: int) -> None:
    with stage.store.transaction() as tables:
        tables.settings.put(LIFE_SIGN, str(at_us))
        tables.settings.put(LIFE_SIGN_ROOTS, json.dumps([str(stage.root)]))


async def test_the_very_first_start_looks_at_everything(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    stage.write("old/bad.txt", EICAR)
    stage.write("old/clean.txt", b"x")
    async with stage.running():
        await until(lambda: len(stage.quarantine.taken()) == 1)

    assert stage.scans_of("old/clean.txt") == 1


async def test_a_later_start_looks_only_at_what_changed_meanwhile(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, margin_s=0.0)
    old = stage.write("old.txt", b"x")
    give_life_sign_now(stage)
    stage.write("new.txt", EICAR)
    async with stage.running():
        await until(stage.settled)

    assert stage.quarantine.taken() == {str(stage.root / "new.txt")}
    assert str(old) not in stage.scanner.scanned


async def test_a_clock_that_was_set_back_makes_it_look_at_everything(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path)
    stage.write("old.txt", EICAR)
    give_life_sign(stage, timedelta(days=-2))
    async with stage.running():
        await until(stage.settled)

    assert stage.quarantine.taken() == {str(stage.root / "old.txt")}


async def test_a_root_that_was_not_watched_before_is_looked_at_completely(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, margin_s=0.0)
    stage.write("old.txt", b"x")
    (stage.outside / "old.txt").write_bytes(EICAR)
    give_life_sign_now(stage)
    stage.settings = replace(stage.settings, roots=(str(stage.root), str(stage.outside)))
    stage.build()
    async with stage.running():
        await until(stage.settled)

    assert stage.quarantine.taken() == {str(stage.outside / "old.txt")}
    assert stage.scans_of("old.txt") == 0


async def at_rest(stage: ProtectedFolder) -> int:
    """The life sign that is followed by no other: its root was tested, and nothing has happened since."""
    await until(lambda: bool(stage.protection.state().issues))
    sign = -1
    while sign != life_sign(stage):
        sign = life_sign(stage)
        await until(lambda: not stage.protection._something_happened.is_set())
        await asyncio.sleep(0.5)
    return sign


async def test_life_signs_move_while_nothing_waits_and_only_if_something_happened(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, self_test_within_s=0.02)
    async with stage.running():
        await until(lambda: life_sign(stage) > 0)
        resting = await at_rest(stage)
        await asyncio.sleep(0.2)
        assert life_sign(stage) == resting

        stage.fake_source.wrote(stage.write("a.txt", b"x"))
        await until(lambda: life_sign(stage) > resting)

        stage.scanner.hold()
        stage.fake_source.wrote(stage.write("b.txt", b"x"))
        before = life_sign(stage)
        await asyncio.sleep(0.2)
        assert life_sign(stage) == before
        stage.scanner.release()


async def test_a_walk_hands_in_no_more_than_there_is_room_for(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, descriptors=8, scan_slots=1)
    for number in range(50):
        stage.write(f"{number}.txt", b"x")
    stage.scanner.hold()
    async with stage.running(settled=False) as protection:
        await until(lambda: stage.scanner.running == 1)
        await asyncio.sleep(0.1)
        assert protection.state().queue_depth <= 5
        assert protection.state().degraded_because == ("protection has just started",)
        stage.scanner.release()
        await until(stage.settled)
        assert sum(path.endswith(".txt") for path in stage.scanner.scanned) == 50
        assert protection.state().events_lost == 0


async def test_new_events_overtake_a_walk(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, scan_slots=1)
    for number in range(20):
        stage.write(f"old{number}.txt", b"x")
    stage.scanner.hold()
    async with stage.running(settled=False):
        await until(lambda: stage.scanner.running == 1)
        await asyncio.sleep(0.05)
        stage.fake_source.wrote(stage.write("new.txt", b"x"))
        stage.scanner.release()
        await until(stage.settled)

    assert stage.scanner.scanned.index(str(stage.root / "new.txt")) < 4


@pytest.mark.parametrize("name", ["excluded", "link"])
async def test_a_walk_keeps_out_of_our_own_folders_and_of_links(tmp_path: Path, name: str) -> None:
    stage = ProtectedFolder(tmp_path, excluded=(str(tmp_path / "root" / "excluded"),))
    if name == "excluded":
        stage.write("excluded/bad.txt", EICAR)
    else:
        (stage.outside / "bad.txt").write_bytes(EICAR)
        (stage.root / "link").symlink_to(stage.outside)
    async with stage.running():
        await until(stage.settled)

    assert stage.quarantine.captured == []
