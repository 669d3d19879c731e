"""Asking a control plane who it is, before it knows us: its version and its time."""

from dataclasses import dataclass
from datetime import datetime

import grpc

from agent.control.addresses import Address
from agent.control.channel import MAX_ANSWER_BYTES
from agent.domain.errors import BucklerError, ExitStatus
from wire.instants import optional_from_us
from wire.v1.enrollment_pb2 import GreetRequest, GreetResponse
from wire.v1.enrollment_pb2_grpc import EnrollmentServiceStub

#: Seconds; the way there has just been proven.
TIMEOUT_S = 4.0


@dataclass(frozen=True, slots=True)
class Greeting:
    """What it said; empty and None from a control plane too old to be asked."""

    version: str = ""
    time: datetime | None = None
    oldest_agent: str = ""


def greet(address: Address, authorities_pem: bytes, *, timeout_s: float = TIMEOUT_S) -> Greeting:
    """Ask, over TLS; blocks, for callers without an event loop.

    Raises:
        BucklerError: `SERVER_BUSY`: it is there, but does not answer as it should.
    """
    credentials = grpc.ssl_channel_credentials(root_certificates=authorities_pem)
    options = (("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", MAX_ANSWER_BYTES))
    with grpc.secure_channel(str(address), credentials, options=options) as channel:
        try:
            answer: GreetResponse = EnrollmentServiceStub(channel).Greet(GreetRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return Greeting()
            raise BucklerError(
                "SERVER_BUSY",
                f"the control plane at {address} answers with {error.code().name}",
                next_step="try again in a minute",
                exit_status=ExitStatus.UNREACHABLE,
                facts={"server": str(address)},
            ) from error
    return Greeting(answer.version, optional_from_us(answer.server_time_at_us), answer.oldest_agent_version)
