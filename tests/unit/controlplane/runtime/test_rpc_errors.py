from controlplane.runtime.call_statuses import STATUS
from controlplane.runtime.refusal import Holder, Kind, Refusal
from controlplane.runtime.rpc_errors import error_detail, internal_detail
from tests.fakes.clock import SOME_MONDAY


def test_every_kind_of_refusal_has_a_status() -> None:
    assert set(STATUS) == set(Kind)


def test_a_refusal_travels_whole() -> None:
    holder = Holder("seat_1", "dev_1", "laptop", SOME_MONDAY, None)
    refusal = Refusal(
        Kind.EXHAUSTED, "SEAT_LIMIT", "all taken", "release one", 5, seat_holders=(holder,), facts={"limit": "1"}
    )
    detail = error_detail(refusal)
    assert (detail.reason, detail.message, detail.next_step) == ("SEAT_LIMIT", "all taken", "release one")
    assert detail.retry_after_s == 5
    assert dict(detail.facts) == {"limit": "1"}
    assert [(each.device_name, each.last_seen_at_us) for each in detail.seat_holders] == [("laptop", 0)]


def test_a_mistake_of_ours_shows_an_id_and_nothing_else() -> None:
    detail = internal_detail("req_abc")
    assert detail.reason == "INTERNAL"
    assert "req_abc" in detail.next_step
