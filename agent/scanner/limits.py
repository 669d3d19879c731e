"""How far we go into one file before we stop and say so."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one scan of one file; each that is reached makes the file `incomplete` and is named with its value.

    The defaults let ordinary installers, documents and source archives through whole, and hold one worker to well
    under 2 GiB (see `agent.scanner.settings.worker_memory`).

    Attributes:
        max_file_size: Bytes of a file, or of one member of a container; a larger one is not read at all.
        max_depth: Containers inside one another; 0: no container is opened.
        max_members: Members of all containers of one file together, folders and links included.
        max_expanded_size: Bytes unpacked from one file, all depths together.
        max_ratio: Unpacked bytes per byte of the container they came from; judged from `RATIO_FLOOR` bytes on.
        timeout_s: Seconds of wall time for one file.
        open_containers: False: bytes are looked at as they are, since they are no file (the memory of a process).
    """

    max_file_size: int = 256 * MIB
    max_depth: int = 16
    max_members: int = 100_000
    max_expanded_size: int = 768 * MIB
    max_ratio: int = 1_200
    timeout_s: float = 60.0
    open_containers: bool = True

    def __post_init__(self) -> None:
        """Refuse bounds that cannot mean anything.

        Raises:
            ValueError: A bound is negative, the depth is beyond `DEPTH_CEILING`, or the time is not positive.
        """
        sizes = (self.max_file_size, self.max_depth, self.max_members, self.max_expanded_size, self.max_ratio)
        if min(sizes) < 0:
            raise ValueError("a limit cannot be negative")
        if self.max_depth > DEPTH_CEILING:
            raise ValueError(f"max_depth cannot be more than {DEPTH_CEILING}")
        if not 0 < self.timeout_s <= TIMEOUT_CEILING_S:
            raise ValueError(f"timeout_s must be more than 0 and at most {TIMEOUT_CEILING_S:.0f}")


#: The walker recurses once per depth; real files nest 3 or 4 deep.
DEPTH_CEILING = 64
#: A day: beyond it a hung worker would not be noticed by anybody who is still waiting.
TIMEOUT_CEILING_S = 86_400.0
#: Below this many unpacked bytes no ratio is too high: a 30-byte gzip of a log file is no bomb. deflate itself
#: cannot exceed 1032:1; what does (bzip2, xz, overlapping members) is meant to be stopped.
RATIO_FLOOR = 16 * MIB
