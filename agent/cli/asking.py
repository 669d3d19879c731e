"""The way from a command to the agent's parts, heavy imports included, taken only once the arguments are read."""

import asyncio
from typing import TYPE_CHECKING, TypeVar

from agent.cli.invocation import Common

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agent.config import AgentConfig
    from agent.local_api.actions import OwnerActions
    from agent.local_api.status import StatusField

_Answer = TypeVar("_Answer")


def settings_of(common: Common) -> "AgentConfig":
    """The configuration that the common options point to.

    Raises:
        BucklerError: `CONFIG_INVALID`, `CONFIG_UNREADABLE`.
    """
    from agent.config import load_config
    from agent.locations import Overrides

    return load_config(Overrides(common.data_dir, common.config))


def ask_owner_actions(common: Common, question: "Callable[[OwnerActions], Awaitable[_Answer]]") -> _Answer:
    """Have the running agent do something, or do it here if none runs.

    Raises:
        BucklerError: What the action refuses; `NOT_PERMITTED` when this user may not.
    """
    from agent.requests import owner_actions

    async def ask() -> _Answer:
        async with owner_actions(settings_of(common)) as actions:
            return await question(actions)

    return asyncio.run(ask())


def ask_status(common: Common) -> "dict[str, StatusField]":
    """The status by field name, in the order it is printed."""
    from agent.requests import read_status

    return {field.name: field for field in asyncio.run(read_status(settings_of(common)))}
