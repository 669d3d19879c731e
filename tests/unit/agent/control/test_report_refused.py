"""What a failed call says about the batch it carried."""

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from agent.control.link import report_refused
from wire.entitlement_codec import ERROR_DETAIL_METADATA
from wire.v1.common_pb2 import ErrorDetail

MIB = 1 << 20


def failed(code: grpc.StatusCode, detail: ErrorDetail | None = None) -> AioRpcError:
    trailing = Metadata((ERROR_DETAIL_METADATA, detail.SerializeToString())) if detail else Metadata()
    return AioRpcError(code, Metadata(), trailing)


@pytest.mark.parametrize(
    ("error", "request_bytes", "code", "permanent", "content"),
    [
        (failed(grpc.StatusCode.UNAVAILABLE), 100, "SERVER_UNREACHABLE", False, False),
        (failed(grpc.StatusCode.PERMISSION_DENIED), 100, "SERVER_ERROR", True, False),
        (failed(grpc.StatusCode.INVALID_ARGUMENT), 100, "SERVER_ERROR", True, True),
        (
            failed(grpc.StatusCode.INVALID_ARGUMENT, ErrorDetail(reason="FIELD_INVALID")),
            100,
            "FIELD_INVALID",
            True,
            True,
        ),
        (failed(grpc.StatusCode.RESOURCE_EXHAUSTED), 5 * MIB, "REPORT_TOO_LARGE", True, True),
        (failed(grpc.StatusCode.RESOURCE_EXHAUSTED), 100, "SERVER_ERROR", False, False),
        (
            failed(grpc.StatusCode.RESOURCE_EXHAUSTED, ErrorDetail(reason="RATE_LIMITED", retry_after_s=30)),
            5 * MIB,
            "SERVER_BUSY",
            False,
            False,
        ),
    ],
    ids=["away", "not ours", "malformed", "malformed, explained", "too large", "exhausted", "rate limited"],
)
def test_who_or_what_is_refused_is_told_apart(
    error: AioRpcError, request_bytes: int, code: str, *, permanent: bool, content: bool
) -> None:
    told = report_refused(error, request_bytes)
    assert (told.why.code, told.permanent, told.content) == (code, permanent, content)
