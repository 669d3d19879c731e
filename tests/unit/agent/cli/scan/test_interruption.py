import signal

import pytest

from agent.cli.scan.interruption import SIGNALS, noticing_interruption


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_ends_nothing(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with noticing_interruption() as interruption:
        noted = [interruption.happened]
        for _ in range(2):
            signal.raise_signal(number)
            noted.append(interruption.happened)
    assert noted == [False, True, True]
    assert [signal.getsignal(each) for each in SIGNALS] == before
