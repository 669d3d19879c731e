from controlplane.cli.ctl.fleet import looking
from controlplane.cli.ctl.output import csv_cell


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
