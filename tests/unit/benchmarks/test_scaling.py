import pytest

from benchmarks.scaling import DOCUMENT, INPUTS, WITHOUT_STREAMS, Input, document_part, needs_of


def test_the_document_shows_what_is_computed() -> None:
    assert document_part() in DOCUMENT.read_text(encoding="utf-8"), "python -m benchmarks.scaling --write"


def test_ten_times_the_devices_need_ten_times_as_much_on_as_many_cores_each() -> None:
    small, large = needs_of(1_000_000), needs_of(10_000_000)
    assert large.server_cores == pytest.approx(10 * small.server_cores)
    assert large.disk_per_year == pytest.approx(10 * small.disk_per_year)
    assert large.devices_per_core == pytest.approx(small.devices_per_core)


def test_the_parts_are_the_whole() -> None:
    needs = needs_of(1_000_000)
    assert needs.server_cores == pytest.approx(needs.check_in_cores + needs.stream_cores + needs.other_cores)


def test_a_fleet_that_one_can_compute_by_hand() -> None:
    # A check-in a second for each device, 1 ms each, a core full at one half: 500 devices.
    free = {name: Input(0, item.unit, "none") for name, item in INPUTS.items()}
    wanted = {
        "contact_every_s": 1,
        "stream_every_s": 1,
        "check_in_every_s": 1,
        "check_in_ms": 1,
        "busy": 0.5,
        "heartbeat_every_s": 1,
        "connection_every_s": 1,
    }
    more = {"refresh_every_s": 1, "from_rows_every_s": 1, "contacts_in_a_commit": 500}
    inputs = {**free, **{name: Input(value, "", "chosen") for name, value in {**wanted, **more}.items()}}
    needs = needs_of(1_000, inputs)
    assert (needs.check_ins_per_s, needs.devices_per_core, needs.commits_per_s) == (1_000, 500, 2)


@pytest.mark.parametrize(
    "name",
    [
        "check_in_ms",
        "rpc_ms",
        "from_rows_ms",
        "heartbeat_ms",
        "stream_open_ms",
        "handshake_ms",
        "detection_ms",
        "command_ms",
    ],
)
def test_nothing_that_costs_more_makes_a_core_carry_more(name: str) -> None:
    dearer = {**INPUTS, name: Input(INPUTS[name].value * 10 + 1, "ms", "dearer")}
    assert needs_of(1_000_000, dearer).devices_per_core < needs_of(1_000_000).devices_per_core


def test_a_device_without_a_stream_holds_no_memory_and_costs_its_check_ins() -> None:
    needs = needs_of(1_000_000, {**INPUTS, **WITHOUT_STREAMS})
    assert needs.stream_memory == 0
    assert needs.check_ins_per_s == pytest.approx(1_000_000 / 60)
    assert needs.check_in_cores > needs_of(1_000_000).check_in_cores


def test_every_input_says_where_it_is_from() -> None:
    assert all(
        item.source.startswith(("measured: ", "the same place: ", "assumed", "default", "`"))
        for item in INPUTS.values()
    )
