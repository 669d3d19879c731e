from datetime import UTC

from agent.platform.clock import SystemClock
from agent.platform.randomness import SystemRandomness
from agent.platform.system_facts import read_system_facts


def test_the_clock_tells_utc_and_its_monotonic_side_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic_ns() <= clock.monotonic_ns()


def test_randomness_does_not_repeat_itself_and_keeps_its_bounds() -> None:
    randomness = SystemRandomness()
    assert randomness.uuid() != randomness.uuid()
    assert randomness.uuid().version == 4
    assert len(randomness.token_bytes(16)) == 16
    assert all(-1.0 <= randomness.uniform(-1.0, 2.0) < 2.0 for _ in range(100))


def test_this_machine_has_a_name() -> None:
    assert read_system_facts().device_name
