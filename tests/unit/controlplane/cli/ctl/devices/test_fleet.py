import pytest

from controlplane.cli.ctl.devices.fleet import headline, looking
from controlplane.cli.ctl.output import csv_cell, say_table


def test_watching_looks_again_until_somebody_interrupts_it() -> None:
    looks: list[int] = []
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    looking(lambda: looks.append(1), 5, sleep)
    assert (len(looks), slept) == (3, [5, 5, 5])
    looking(lambda: looks.append(1), 0, sleep)
    assert len(looks) == 4


def test_a_sheet_runs_no_formula_that_a_device_calls_itself() -> None:
    assert csv_cell("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert csv_cell("@x") == "'@x"
    assert csv_cell("laptop-1") == "laptop-1"
    assert csv_cell(None) == ""


@pytest.mark.parametrize(
    ("devices", "protected", "sentence"),
    [
        (0, 0, "There are no devices yet. Next: buckler activate, on the first one."),
        (1, 1, "Everyone is protected: 1 of 1 device."),
        (1, 0, "0 of 1 device are protected; 1 needs attention."),
        (3, 1, "1 of 3 devices is protected; 2 need attention."),
    ],
)
def test_the_headline_counts_as_people_do(devices: int, protected: int, sentence: str) -> None:
    assert headline({"devices": devices, "protected": protected, "reasons": {}}) == sentence


def test_a_table_without_rows_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(["invoice"], [], empty="There are no invoices.")
    assert capsys.readouterr().out == "There are no invoices.\n"
