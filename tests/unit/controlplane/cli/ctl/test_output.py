import pytest

from controlplane.cli.ctl.output import reporting, say_table
from controlplane.cli.failures import Output

SEAT, DEVICE = "seat_d1b0ea77d23d8352132b_10", "dev_e5048188119feb0299d4"


def table(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    say_table(
        ("seat", "device", "device id"),
        [(SEAT, "laptop of\nAnna", DEVICE), (SEAT, "", "")],
        whole=("seat", "device id"),
    )


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_what_people_copy_is_whole_however_narrow_the_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table(width, monkeypatch)
    said = capsys.readouterr().out
    assert said.count(SEAT) == 2
    assert DEVICE in said


def test_a_terminal_too_narrow_for_a_table_is_told_row_after_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table(40, monkeypatch)
    first, second = capsys.readouterr().out.split("\n\n")
    assert first.splitlines() == [
        f"seat      : {SEAT}",
        "device    : laptop of\\nAnna",
        f"device id : {DEVICE}",
    ]
    assert second.startswith(f"seat      : {SEAT}\n")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnicodeEncodeError("utf-8", "geheim\udcff", 6, 7, "surrogates not allowed"), 2, "NOT_TEXT"),
        (UnicodeEncodeError("latin-1", "\u2026", 0, 1, "ordinal not in range"), 5, "INTERNAL"),
        (PermissionError(13, "Permission denied", "/x/session.json"), 5, "SYSTEM_REFUSED"),
        (ZeroDivisionError("geheim"), 5, "INTERNAL"),
    ],
)
def test_what_goes_wrong_is_a_code_a_sentence_and_no_value(
    error: Exception, status: int, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Exception) as ended, reporting(Output.TEXT):  # noqa: PT011 -- Typer's own, asked below
        raise error
    assert getattr(ended.value, "exit_code", None) == status
    said = capsys.readouterr().err
    assert said.startswith(f"{code}: ")
    assert "geheim" not in said
