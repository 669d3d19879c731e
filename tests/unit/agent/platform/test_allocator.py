"""The allocator is told to keep memory; what that saves is measured by `python -m benchmarks.routing`."""

from agent.platform.allocator import keep_freed_memory


def test_it_may_be_called_anywhere_and_again() -> None:
    for _ in range(2):
        keep_freed_memory()
    assert bytes(1 << 22) == b"\0" * (1 << 22)
