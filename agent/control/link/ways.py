"""The two ways to the control plane, put together: check-ins, and the stream that is open while they work."""

from collections.abc import Awaitable, Callable

from agent.control.enrolment.entitlements import EntitlementKeeper
from agent.control.link.control_link import ControlLink
from agent.control.link.device_report import DeviceReport
from agent.control.link.settings import LinkSettings
from agent.control.link.stream import ControlStream
from agent.domain.ports import Clock, Randomness


def ways_to_the_control_plane(
    settings: LinkSettings,
    keeper: EntitlementKeeper,
    clock: Clock,
    randomness: Randomness,
    report: Callable[[], Awaitable[DeviceReport]],
    on_contact: Callable[[], None],
) -> tuple[ControlLink, ControlStream]:
    """Build both; the arguments are those of the link."""

    def in_contact() -> None:
        on_contact()
        stream.in_contact()

    link = ControlLink(settings, keeper, clock, randomness, report, in_contact)
    stream = ControlStream(link, settings.stream, randomness)
    return link, stream
