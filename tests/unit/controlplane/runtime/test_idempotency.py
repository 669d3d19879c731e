from controlplane.runtime.idempotency import request_hash


def test_requests_that_differ_in_where_a_part_ends_are_different() -> None:
    assert request_hash(["ab", "c"]) != request_hash(["a", "bc"])
    assert request_hash(["a"]) != request_hash(["a", ""])
    assert request_hash(["a", "b"]) == request_hash(["a", "b"])
