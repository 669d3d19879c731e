"""`buckler-server migrate`: bring the database to the schema of this program."""

import asyncio

from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, reporting, show
from controlplane.config import ServerConfig, read_config


def migrate(data_dir: DataDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Run the migrations that are missing, all or none."""
    with reporting(output):
        before, after = asyncio.run(_migrate(read_config(data_dir.absolute())))
        show(output, {"before": before or "none", "after": after, "changed": before != after})


async def _migrate(config: ServerConfig) -> tuple[str | None, str]:
    from controlplane.storage.database import Database
    from controlplane.storage.schema import upgrade

    database = Database(config.database_url)
    try:
        return await upgrade(database)
    finally:
        await database.close()
