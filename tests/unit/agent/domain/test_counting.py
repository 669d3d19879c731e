from agent.domain.counting import counted


def test_one_is_not_many() -> None:
    assert [counted(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
