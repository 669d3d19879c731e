"""Keeps compiled rules between starts, one file for each pack and engine (`agent.scanner.engines.kept_files`).

Loading compiled rules is running code, so nothing is loaded that others than us could have written. What is wrong with
a file costs its compiling anew and nothing else; where there can be no folder, everything is compiled each time.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from typing import IO, BinaryIO

from agent.scanner.engines.kept_files import KeptFiles
from agent.scanner.engines.port import Engine, Matcher, Readable, RuleProblem, RuleSource
from agent.scanner.parts_hash import parts_sha256

_DIGEST_BYTES = 32
_COUNT_BYTES = 8
_PIECE = 1 << 20


class CachedEngine:
    """An engine that compiles nothing twice; implements `agent.scanner.engines.port.Engine`.

    Args:
        inner: Compiles what is not there.
        image_format: What images of that engine depend on beside its name and version.
        files: Where images are kept.
    """

    def __init__(self, inner: Engine, image_format: str, files: KeptFiles) -> None:
        self._inner = inner
        self._files = files
        #: What an image depends on beside the rules.
        self.made_by = json.dumps([inner.name, inner.version, image_format])

    @property
    def name(self) -> str:
        """The inner engine's."""
        return self._inner.name

    @property
    def version(self) -> str:
        """The inner engine's."""
        return self._inner.version

    def compile(self, sources: Sequence[RuleSource], image: IO[bytes]) -> int:
        """Write the image, from the folder if it is there; see `Engine.compile`."""
        name = self.name_of(sources)
        known = self.fetch(name, image)
        if known is not None:
            return known
        written = io.BytesIO()
        count = self._inner.compile(sources, written)
        image.write(written.getbuffer())
        content = count.to_bytes(_COUNT_BYTES, "big") + written.getvalue()
        self._files.keep(name, (_seal(name, content), content))
        return count

    def name_of(self, sources: Sequence[RuleSource]) -> str:
        """Name of the file: everything that an image depends on, the whole text of the rules before all."""
        texts = (text for source in sources for text in (source.namespace, source.text))
        return parts_sha256((text.encode("utf-8", "surrogatepass") for text in texts), seed=self.made_by.encode())

    def fetch(self, name: str, image: IO[bytes]) -> int | None:
        """Write a kept image and return its number of rules; None, and nothing is written: there is none."""
        begin = image.tell()
        try:
            with self._files.opened(name) as file:
                count = _copied(file, name, image)
        except OSError:
            return None
        if count is None:
            image.seek(begin)
            image.truncate()
            self._files.remove(name)
        return count

    def problem(self, source: RuleSource) -> RuleProblem | None:
        """The inner engine's word; see `Engine.problem`."""
        return self._inner.problem(source)

    def load(self, image: Readable) -> Matcher:
        """The inner engine's; see `Engine.load`."""
        return self._inner.load(image)


def _seal(name: str, content: bytes) -> bytes:
    digest = hashlib.sha256(name.encode())
    digest.update(content)
    return digest.digest()


def _copied(file: BinaryIO, name: str, image: IO[bytes]) -> int | None:
    """Copy the image piece by piece, and return its number of rules; None: the seal does not fit what has been copied.

    The same name is in the seal: a file under another name is another pack.
    """
    seal, count = file.read(_DIGEST_BYTES), file.read(_COUNT_BYTES)
    digest = hashlib.sha256(name.encode() + count)
    while piece := file.read(_PIECE):
        digest.update(piece)
        image.write(piece)
    return int.from_bytes(count, "big") if digest.digest() == seal else None
