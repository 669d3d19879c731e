"""DownloadService on the wire: validate, call one use case, translate."""

from typing import Final

from controlplane.downloads.model import Artifact, Machine, StoreLink
from controlplane.downloads.service import DownloadService
from controlplane.runtime.fields import text
from controlplane.runtime.interceptors import Context
from controlplane.runtime.principal import current_person
from controlplane.storage.database import Database
from wire.v1 import download_pb2
from wire.v1.download_pb2_grpc import DownloadServiceServicer

_MAX_CHARACTERS: Final = 64
_FIELDS: Final = ("os", "architecture", "os_version", "libc", "libc_version", "version", "format")


class DownloadRpc(DownloadServiceServicer):
    """The servicer."""

    def __init__(self, database: Database, service: DownloadService) -> None:
        self._database = database
        self._service = service

    async def ListDownloads(  # noqa: N802 -- the name is the protocol's
        self, _request: download_pb2.ListDownloadsRequest, _context: Context
    ) -> download_pb2.ListDownloadsResponse:
        """Everything there is."""
        async with self._database.reading() as connection:
            table = await self._service.newest(connection)
        return download_pb2.ListDownloadsResponse(
            table_version=table.version,
            artifacts=[_artifact(each) for each in table.artifacts],
            stores=[_store(each) for each in table.stores],
        )

    async def GetDownload(  # noqa: N802 -- the name is the protocol's
        self, request: download_pb2.GetDownloadRequest, _context: Context
    ) -> download_pb2.GetDownloadResponse:
        """What fits."""
        said = {name: text(name, getattr(request, name), limit=_MAX_CHARACTERS) for name in _FIELDS}
        async with self._database.reading() as connection:
            offer = await self._service.resolve(connection, current_person().org_id, Machine(**said))
        choice, found = offer.choice, offer.choice.found
        return download_pb2.GetDownloadResponse(
            artifact=_artifact(found) if isinstance(found, Artifact) else None,
            store=_store(found) if isinstance(found, StoreLink) else None,
            held_back=choice.held_back,
            unchecked=choice.unchecked,
            features=offer.features,
        )


def _artifact(each: Artifact) -> download_pb2.Artifact:
    return download_pb2.Artifact(
        os=each.os.value,
        architecture=each.architecture,
        libc="" if each.libc is None else each.libc.value,
        version=each.version,
        format=each.format,
        needs=each.needs,
        url=each.url,
        sha256=each.sha256,
        size_bytes=each.size_bytes,
    )


def _store(each: StoreLink) -> download_pb2.StoreLink:
    return download_pb2.StoreLink(os=each.os.value, needs=each.needs, url=each.url)
