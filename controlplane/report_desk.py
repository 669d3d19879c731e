"""What operators see of the reports of devices that could not be stored, and how they have one stored after all."""

from collections.abc import Sequence

from controlplane.config import ServerConfig
from controlplane.detections.dead_reports import DeadReport
from controlplane.intake import dead_reports_of
from controlplane.serving import opened


async def list_dead(config: ServerConfig) -> Sequence[DeadReport]:
    """What could not be stored, the newest first.

    Raises:
        Refusal: SCHEMA_OUTDATED, SCHEMA_NEWER, or what is wrong with a key file.
    """
    async with opened(config) as server:
        return await dead_reports_of(server.plane).list_all()


async def retry_dead(config: ServerConfig, report_id: str) -> None:
    """Store one after all.

    Raises:
        Refusal: REPORT_NOT_FOUND, why it still cannot be stored, or as `list_dead`.
    """
    async with opened(config) as server:
        await dead_reports_of(server.plane).retry(report_id)
