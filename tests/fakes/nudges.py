"""Nudges that are remembered; port `controlplane.commands.ports.Nudges`."""

from dataclasses import dataclass, field


@dataclass
class RecordingNudges:
    """Nobody is connected, but we know who would have been told."""

    devices: list[tuple[str, str]] = field(default_factory=list)

    def nudge(self, org_id: str, device_id: str) -> None:
        """Remember it."""
        self.devices.append((org_id, device_id))
