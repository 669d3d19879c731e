from controlplane.runtime.counting import counted


def test_one_is_not_many() -> None:
    assert [counted(number, "device") for number in (0, 1, 2)] == ["0 devices", "1 device", "2 devices"]
