import math

import grpc
import pytest

from benchmarks.simulator.tally import Tally, is_mistake, percentile
from controlplane.devices.errors import device_cloned
from controlplane.runtime.rpc_errors import error_detail
from wire.entitlement_codec import ERROR_DETAIL_METADATA


def failure(code: grpc.StatusCode, detail: bytes = b"") -> grpc.aio.AioRpcError:
    trailers = grpc.aio.Metadata((ERROR_DETAIL_METADATA, detail)) if detail else grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, "said")


@pytest.mark.parametrize(
    ("code", "reason", "mistake"),
    [
        ("UNAVAILABLE", "", False),
        ("UNAVAILABLE", "DATABASE_UNAVAILABLE", False),
        ("FAILED_PRECONDITION", "DEVICE_CLONED", False),
        ("INTERNAL", "INTERNAL", True),
        ("INTERNAL", "", True),
        ("UNKNOWN", "", True),
    ],
)
def test_what_should_not_have_been_shown(code: str, reason: str, *, mistake: bool) -> None:
    assert is_mistake(code, reason) is mistake


def test_errors_are_counted_by_what_they_say() -> None:
    tally = Tally()
    refusal = error_detail(device_cloned()).SerializeToString()
    assert tally.failed("CheckIn", failure(grpc.StatusCode.FAILED_PRECONDITION, refusal)) == ("DEVICE_CLONED", 0.0)
    tally.failed("CheckIn", failure(grpc.StatusCode.UNKNOWN))
    tally.failed("Connect", failure(grpc.StatusCode.DEADLINE_EXCEEDED))
    assert (tally.mistakes, tally.late, tally.refused("DEVICE_CLONED")) == (1, 1, 1)
    assert tally.lines()[-1] == "         said 1x said"


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.95) == 4.0
    assert math.isinf(percentile([], 0.5))
