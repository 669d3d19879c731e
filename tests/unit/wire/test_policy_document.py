from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.schedule import Schedule
from wire.policy_document import (
    MAX_EXCLUSIONS,
    PolicyDocument,
    PolicyDocumentError,
    PolicyExclusion,
    read_canonical,
    read_toml,
)

BASELINE = """
[realtime]
mode = "block"
roots = ["/home//", "/srv/data/"]

[schedule]
quick = "Daily 12:30"
jitter_minutes = 20

[support]
diagnostics = "allow"
[quarantine]
stop_processes = true

[[exclusions]]
kind = "path"
value = "/srv/build/"
reason = "compilers write here"
expires_at = 2027-01-31T12:00:00+02:00

[[exclusions]]
kind = "rule"
value = "office.macro_autoopen"
reason = "our own templates"
"""


def wrong(source: str) -> tuple[str, str]:
    with pytest.raises(PolicyDocumentError) as caught:
        read_toml(source)
    return caught.value.key, caught.value.why


def exclusion(fields: str) -> str:
    return f"[[exclusions]]\n{fields}"


def test_a_document_is_read_as_people_write_it() -> None:
    document = read_toml(BASELINE)
    assert document.settings == {
        "realtime.mode": "block",
        "realtime.roots": ("/home", "/srv/data"),
        "schedule.quick": "daily 12:30",
        "schedule.jitter_minutes": 20,
        "support.diagnostics": "allow",
        "quarantine.stop_processes": True,
    }
    until = datetime(2027, 1, 31, 10, tzinfo=UTC)
    assert document.exclusions[0] == PolicyExclusion("path", "/srv/build", "compilers write here", until)


def test_equal_documents_are_equal_bytes_and_come_back_whole() -> None:
    document = read_toml(BASELINE)
    sections, first, second = BASELINE.partition("[[exclusions]]")[0], *BASELINE.split("[[exclusions]]")[1:]
    reordered = f"[[exclusions]]{second}\n[[exclusions]]{first}\n{sections}"
    assert read_toml(reordered).canonical() == document.canonical()
    assert read_canonical(document.canonical()) == document
    assert document.canonical().isascii()
    assert read_toml("") == PolicyDocument()


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("[realtime]\nmoed = 'block'", "realtime.moed"),
        ("[realtyme]\nmode = 'block'", "realtyme"),
        ("mode = 'block'", "mode"),
        ("[realtime]\nmode = 'off'", "realtime.mode"),
        ("[realtime]\nroots = []", "realtime.roots"),
        ("[realtime]\nroots = ['home']", "realtime.roots"),
        ("[realtime]\nroots = ['/home/../etc']", "realtime.roots"),
        ("[schedule]\nquick = 'hourly'", "schedule.quick"),
        ("[schedule]\ncpu_percent = 0", "schedule.cpu_percent"),
        ("[schedule]\ncpu_percent = true", "schedule.cpu_percent"),
        ("[schedule]\npause_on_battery = 1", "schedule.pause_on_battery"),
        ("[quarantine]\nwarn_days = 1", "quarantine.warn_days"),
        ("[control_plane]\naddress = 'elsewhere:1'", "control_plane"),
        ("exclusions = 3", "exclusions"),
        (exclusion("kind = 'path'\nvalue = '/'\nreason = 'x'"), "exclusions.1.value"),
        (exclusion("kind = 'path'\nvalue = '///'\nreason = 'x'"), "exclusions.1.value"),
        (exclusion("kind = 'path'\nvalue = '/a'"), "exclusions.1.reason"),
        (exclusion("kind = 'path'\nvalue = '/a'\nreason = ' '"), "exclusions.1.reason"),
        (exclusion("kind = 'file'\nvalue = '/a'\nreason = 'x'"), "exclusions.1.kind"),
        (exclusion("kind = 'sha256'\nvalue = 'AB'\nreason = 'x'"), "exclusions.1.value"),
        (exclusion("kind = 'path'\nvalue = '/a'\nreason = 'x'\nuntil = 3"), "exclusions.1.until"),
        (exclusion("kind = 'path'\nvalue = '/a'\nreason = 'x'\nexpires_at = 2027-01-01"), "exclusions.1.expires_at"),
        ("x = [" * 3000, ""),
    ],
)
def test_what_means_nothing_is_refused_with_its_key(source: str, key: str) -> None:
    assert wrong(source)[0] == key


def test_a_document_has_bounds() -> None:
    many = "".join(
        f"[[exclusions]]\nkind='path'\nvalue='/{number}'\nreason='x'\n" for number in range(MAX_EXCLUSIONS + 1)
    )
    assert wrong(many) == ("exclusions", f"has more than {MAX_EXCLUSIONS} entries")
    assert "longer" in wrong("#" * 70_000)[1]
    twice = exclusion("kind='path'\nvalue='/a'\nreason='x'\n") + exclusion("kind='path'\nvalue='/a/'\nreason='y'\n")
    assert wrong(twice) == ("exclusions", "names the same thing twice")


@pytest.mark.parametrize(
    "untrusted", [b"", b"[]", b"{}", b'{"settings":{},"exclusions":{}}', b'{"settings":[]}', b"\xff"]
)
def test_what_is_no_canonical_document_is_refused(untrusted: bytes) -> None:
    with pytest.raises(PolicyDocumentError):
        read_canonical(untrusted)


@given(
    st.sampled_from(["off", "daily", "weekly monday", "weekly", "Weekly  SUNDAY"]), st.text("0123456789:", max_size=5)
)
def test_schedules_mean_the_same_here_and_on_a_device(often: str, at: str) -> None:
    text = f"{often} {at}".strip()
    try:
        Schedule.parse(text)
        good = True
    except ValueError:
        good = False
    try:
        read_toml(f'[schedule]\nfull = "{text}"')
    except PolicyDocumentError:
        assert not good
    else:
        assert good


def test_an_empty_document_sets_nothing() -> None:
    assert PolicyDocument().canonical() == b'{"exclusions":[],"settings":{}}'
