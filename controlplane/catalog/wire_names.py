"""Access levels in the protocol's spelling."""

from controlplane.catalog.model import AccessLevel
from wire.v1 import common_pb2

ACCESS_LEVEL_ON_THE_WIRE = {
    AccessLevel.FULL: common_pb2.ACCESS_LEVEL_FULL,
    AccessLevel.GRACE: common_pb2.ACCESS_LEVEL_GRACE,
    AccessLevel.LIMITED: common_pb2.ACCESS_LEVEL_LIMITED,
    AccessLevel.ENDED: common_pb2.ACCESS_LEVEL_ENDED,
}
