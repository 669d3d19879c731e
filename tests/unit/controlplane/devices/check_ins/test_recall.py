"""What devices were told last: bounded, and forgotten with any news."""

from datetime import timedelta

from controlplane.devices.check_ins.quiet import Known, Said, Told
from controlplane.devices.check_ins.recall import LASTS, RecallBook
from controlplane.devices.identity.lineage import NOTHING_SHOWN
from controlplane.devices.model import Device, DeviceStatus, Platform
from controlplane.storage.news import EVERYONE
from tests.fakes.clock import SOME_MONDAY
from tests.unit.controlplane.devices.test_clones import REPORT

DEVICE = Device("org_1", "dev_1", "laptop", Platform("linux", "12", "x86_64", "1"), b"key", SOME_MONDAY)
TOLD = Told(
    known=Known(DEVICE, DeviceStatus(REPORT, SOME_MONDAY, None), 1, ""),
    said=Said(b"status", 1, ()),
    report=REPORT,
    shown=NOTHING_SHOWN,
    at=SOME_MONDAY,
    until=SOME_MONDAY + LASTS,
)


def _book(*keys: tuple[str, str], most: int = 100) -> RecallBook:
    book = RecallBook(most=most)
    for key in keys:
        book.keep(*key, TOLD)
    return book


def test_the_device_unheard_of_for_longest_is_forgotten_first() -> None:
    book = _book(("a", "1"), ("a", "2"), most=2)
    assert book.find("a", "1") is TOLD
    book.keep("b", "1", TOLD)
    assert [book.find(*key) for key in (("a", "1"), ("a", "2"), ("b", "1"))] == [TOLD, None, TOLD]


def test_news_forget_one_device_or_all_of_an_organisation() -> None:
    book = _book(("a", "1"), ("a", "2"), ("b", "1"))
    book.forget("a", "1")
    book.forget("a", "9")
    assert [book.find("a", "1"), book.find("a", "2")] == [None, TOLD]
    book.forget("a", EVERYONE)
    assert [book.find("a", "2"), book.find("b", "1")] == [None, TOLD]
    book.forget_all()
    assert len(book) == 0


def test_what_was_read_while_there_was_news_is_not_kept() -> None:
    for news in (("a", "1"), ("a", EVERYONE), None):
        book = _book()
        with book.looking("a", "1") as look, book.looking("b", "1") as other:
            if news is None:
                book.forget_all()
            else:
                book.forget(*news)
            look.keep(TOLD)
            other.keep(TOLD)
        assert book.find("a", "1") is None
        assert (book.find("b", "1") is None) == (news is None)
        with book.looking("a", "1") as look:
            look.keep(TOLD)
        assert book.find("a", "1") is TOLD


def test_an_answer_ends_with_the_first_turn_and_ends_are_spread() -> None:
    book = _book()
    ends = {book.good_until(f"dev_{number}", SOME_MONDAY) - SOME_MONDAY for number in range(20)}
    assert len(ends) == 20
    assert min(ends) >= LASTS / 2
    assert max(ends) <= LASTS
    soon, past = SOME_MONDAY + timedelta(minutes=1), SOME_MONDAY
    assert book.good_until("dev_1", SOME_MONDAY, None, soon, past, soon + LASTS) == soon
