"""Every fault is named first, with a next step; and where `--fix` can mend it, it is gone afterwards."""

import os

import pytest

from agent.support.checkup import Status
from tests.fakes.patient import Patient
from tests.integration.agent.support.faults import FAULTS, Fault, parameters

_CASES_OF_DEVICES = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15})


@pytest.mark.parametrize("fault", parameters())
def test_the_right_code_comes_first(fault: Fault, patient: Patient) -> None:
    if fault.root and os.geteuid() != 0:
        pytest.skip("needs root, for mounts")
    with fault.produce(patient):
        report = patient.examine(fix=False)
        first = report.results[0]
        told = [(result.check, result.code, result.evidence) for result in report.results[:4]]
        assert first.code == fault.code, told
        assert first.status in {Status.FAILING, Status.WARNING}
        assert first.next_step, first
        assert first.effect, first
        assert first.fixer is not None
        if fault.mended:
            assert first.fixable
            mended = patient.examine(fix=True)
            assert first.check in mended.fixed
            assert fault.code not in {result.code for result in mended.results}, mended.fixed


def test_the_suite_covers_what_it_promises() -> None:
    assert {fault.case for fault in FAULTS} - {0} == _CASES_OF_DEVICES
    assert sum(not fault.case for fault in FAULTS) >= 25
