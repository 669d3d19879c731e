"""Life signs."""

import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.domain.ports import Store
from agent.realtime.life_sign import LIFE_SIGN, LIFE_SIGN_ROOTS, LifeSign, LifeSigns
from agent.storage.database import open_database
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore

ROOTS = ("/r", "/\udcff\n")


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else open_database(tmp_path / "agent.db")


async def test_the_last_one_is_found_again_whole(store: Store) -> None:
    clock, held = FakeClock(), frozenset({7, 2**64 - 1})
    signs = LifeSigns(store, clock, lambda: held)
    assert signs.last() is None
    sign = await signs.take(ROOTS)
    assert sign is not None
    assert signs.last() is None, "taken, not kept"
    await signs.keep(sign)
    held = frozenset({8})
    assert signs.last() == LifeSign(sign.at_us, ROOTS, frozenset({7, 2**64 - 1}))
    assert (await LifeSigns(store, clock, lambda: held).take(ROOTS) or sign).held_open == {8}


async def test_one_from_the_future_is_none(store: Store) -> None:
    clock = FakeClock()
    signs = LifeSigns(store, clock, frozenset)
    sign = await signs.take(ROOTS)
    assert sign is not None
    await signs.keep(LifeSign(sign.at_us + 1, ROOTS))
    assert signs.last() is None
    clock.advance(timedelta(seconds=1))
    assert signs.last() is not None


def test_one_of_an_older_version_names_no_files(store: Store) -> None:
    with store.transaction() as tables:
        tables.settings.put(LIFE_SIGN, "5")
        tables.settings.put(LIFE_SIGN_ROOTS, '["/r"]')
    assert LifeSigns(store, FakeClock(), frozenset).last() == LifeSign(5, ("/r",), frozenset())


async def test_none_is_given_while_more_is_held_than_can_be_remembered() -> None:
    assert await LifeSigns(MemoryStore(), FakeClock(), lambda: frozenset(range(65_536))).take(ROOTS) is not None
    assert await LifeSigns(MemoryStore(), FakeClock(), lambda: frozenset(range(65_537))).take(ROOTS) is None


async def test_none_is_given_while_it_cannot_be_found_out_what_is_held() -> None:
    def none_left() -> frozenset[int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    signs = LifeSigns(MemoryStore(), FakeClock(), none_left)
    assert await signs.take(ROOTS) is None
    assert signs.limitations() == ()


async def test_where_it_cannot_be_known_what_is_held_that_is_said_and_the_sign_is_given() -> None:
    signs = LifeSigns(MemoryStore(), FakeClock(), lambda: None)
    assert signs.limitations() == ()
    sign = await signs.take(ROOTS)
    assert sign is not None
    assert not sign.held_open
    assert len(signs.limitations()) == 1


async def test_a_database_that_refuses_leaves_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    signs = LifeSigns(store, FakeClock(), frozenset)
    await signs.keep(LifeSign(5, ROOTS))

    def full() -> None:
        raise BucklerError("DATABASE_FULL", "the disk is full", next_step="free some space on it")

    with monkeypatch.context() as disk:
        disk.setattr(store, "transaction", full)
        await signs.keep(LifeSign(6, ROOTS))
    assert signs.last() == LifeSign(5, ROOTS)
