"""Advice on exclusions: what it offers, what it names as the risk, and where it never makes a hole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.costs import CostBook, CostReport, CostWindow
from agent.domain.exclusion_advice import advise, refusal_of
from agent.domain.facts import ScanFacts


def report_of(*folders: tuple[str, float]) -> CostReport:
    """A window in which files of these folders took so many seconds."""
    book = CostBook(0)
    for folder, seconds in folders:
        book.add(f"{folder}/x.o", ScanFacts("", 1, elapsed_ms=seconds * 1_000), "/usr/bin/cc1", 0)
    return book.report(CostWindow.HOUR, 0)


def test_the_folder_that_costs_most_is_offered_with_its_risk() -> None:
    advice = advise(report_of(("/home/u/src/it's/build", 60), ("/home/u/notes", 10), ("/srv/db", 5)))
    (offered,) = advice.suggestions
    assert (offered.path, offered.share, offered.cause) == ("/home/u/src/it's/build", 0.8, "/usr/bin/cc1")
    assert "neither scanned nor blocked" in offered.risk
    assert offered.command.startswith("buckler exclusion add '/home/u/src/it'\\''s/build' ")
    assert "--days" in offered.command
    assert advice.withheld == ()


def test_many_small_folders_are_offered_as_the_one_around_them() -> None:
    advice = advise(report_of(*((f"/srv/ci/work/job{number}", 1) for number in range(40))))
    assert [item.path for item in advice.suggestions] == ["/srv/ci/work"]


def test_where_anything_may_arrive_the_time_is_named_and_the_hole_refused() -> None:
    advice = advise(report_of(("/tmp/build", 70), ("/home/u/Downloads/big", 30)))
    assert advice.suggestions == ()
    assert {item.path: item.reason for item in advice.withheld} == {
        "/tmp/build": "every program may write there",
        "/home/u/Downloads/big": "files from outside arrive there",
    }


def test_a_machine_that_spent_little_needs_no_hole() -> None:
    assert advise(report_of(("/srv/build/x", 9))) == advise(report_of())


@pytest.mark.parametrize(
    "folder",
    [
        "/", "/home", "/home/u", "/root", "/Users/u", "/home/u/Documents", "/tmp", "/tmp/x/y", "/var/tmp/z", "/dev/shm",
        "/usr/lib/python3", "/etc/x", "/srv", "/var", "/home/u/Desktop/new", "/home/u/.cache", "relative/x",
        "/srv/../tmp", "/srv/x\n/y", "/private/tmp/x",
    ],
)  # fmt: skip
def test_what_is_never_offered(folder: str) -> None:
    assert refusal_of(folder)


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["home", "u", "tmp", "srv", "src", "Downloads", "usr", "b"]), max_size=6),
            st.integers(1, 100),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_advice_never_offers_what_is_refused_nor_one_folder_inside_another(
    costs: list[tuple[list[str], int]],
) -> None:
    advice = advise(report_of(*(("".join(f"/{part}" for part in parts), seconds) for parts, seconds in costs)))
    paths = [item.path for item in advice.suggestions]
    assert all(not refusal_of(path) for path in paths)
    assert not any(a != b and a.startswith(f"{b}/") for a in paths for b in paths)
    shares = [item.share for item in advice.suggestions] + [item.share for item in advice.withheld]
    assert all(0.2 <= share <= 1 for share in shares)
    assert all(item.reason for item in advice.withheld)
