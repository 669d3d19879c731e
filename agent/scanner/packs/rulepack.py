"""Rule packs: from files, folders and zip archives of YARA rules to something workers can load.

A pack is source text. It is compiled here, in the parent, into an image that exists only in memory; compiled rules are
never read from anywhere else, because loading them is running foreign code.
"""

import os
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from agent.domain.errors import BucklerError
from agent.platform.files.anonymous_file import anonymous_file
from agent.scanner.engines.port import Engine, RuleCompileError, RuleSource
from agent.scanner.engines.registry import engine_named
from agent.scanner.packs.bundle_reading import Bundle, namespace_of, read_bundle
from agent.scanner.packs.credits import Credit
from agent.scanner.packs.rule_files import MANIFEST, RULE_SUFFIXES
from agent.scanner.parts_hash import parts_sha256
from wire.rule_bundle import BundleError

if TYPE_CHECKING:
    from agent.scanner.packs.rule_salvage import LeftOut

#: The two largest public packs together have 9 MB of text in 1,000 files.
_MAX_PACK_BYTES = 256 * 1024 * 1024
_MAX_PACK_FILES = 50_000
#: Hex digits of the content hash in a version: 48 bits tell packs apart; they are no security boundary.
_HASH_DIGITS = 12
#: Broken files that a message names; the rest is counted.
_MAX_NAMED = 10
_FIX_RULES = "correct what is broken, or scan with the rest: `buckler scan --skip-broken-rules`"


@dataclass(frozen=True, slots=True)
class RulePack:
    """Rule files that belong together.

    Attributes:
        sources: In a fixed order, namespaces unique.
        version: Short hash of namespaces and texts, after the manifest's version if there is one.
        made_at: From the manifest, else the newest modification time of its files.
        credits: Whom to credit for rules of others, from the manifests of bundles.
    """

    sources: tuple[RuleSource, ...]
    version: str
    made_at: datetime
    credits: tuple[Credit, ...] = ()


@dataclass(frozen=True, slots=True)
class CompiledPack:
    """A pack ready to be handed to workers.

    Attributes:
        version: Of the pack.
        engine: Name of the engine it was compiled by.
        engine_version: Version of that engine's library.
        rule_count: Rules, private ones included.
        made_at: Of the pack.
        image: Descriptor of the compiled rules, an anonymous file; open until `close`.
        credits: Of the pack.
    """

    version: str
    engine: str
    engine_version: str
    rule_count: int
    made_at: datetime
    image: int
    credits: tuple[Credit, ...] = ()

    @property
    def engine_label(self) -> str:
        """`yara 4.5.4`, as facts and summaries name it."""
        return f"{self.engine} {self.engine_version}"

    def close(self) -> None:
        """Let go of the image, once; workers that are running keep theirs."""
        os.close(self.image)


def load_rules(sources: Sequence[Path]) -> RulePack:
    """Read rule files.

    Args:
        sources: Files, folders (searched for `*.yar` and `*.yara`) and zip archives of such folders.

    Raises:
        BucklerError: `RULES_NOT_FOUND`, `RULES_EMPTY`, or `RULES_INVALID` for text that is no UTF-8 or a broken zip.
    """
    found: list[RuleSource] = []
    bundles: list[Bundle] = []
    newest = 0.0
    for path in sources:
        try:
            newest = max(newest, path.stat().st_mtime)
            found.extend(_read(path, bundles))
        except FileNotFoundError as error:
            raise _not_found(path, "there are no rules there") from error
        except OSError as error:
            raise _not_found(path, error.strerror or "it cannot be read") from error
    if not found:
        raise BucklerError(
            "RULES_EMPTY",
            f"no rule file in {', '.join(map(str, sources)) or 'nothing'}",
            next_step="name a .yar or .yara file, a folder or a zip that holds some",
        )
    texts = _unique_namespaces(found)
    version, made_at = _hash(texts), datetime.fromtimestamp(newest, tz=UTC)
    # Rules that an owner adds to the built-in pack change the hash, not the age of the signatures.
    manifest = next((path / MANIFEST for path in sources if (path / MANIFEST).is_file()), None)
    if manifest is not None:
        named, made_at = _read_manifest(manifest)
        version = f"{named}-{version}"
    elif bundles:
        version, made_at = f"{bundles[0].version}-{version}", bundles[0].made_at
    return RulePack(texts, version, made_at, tuple(credit for bundle in bundles for credit in bundle.credits))


def compile_pack(pack: RulePack, engine: str | Engine = "yara") -> CompiledPack:
    """Compile a pack. Takes seconds for large packs and blocks; the caller closes the result.

    Raises:
        BucklerError: `RULES_INVALID` with file, line and reason of all that does not compile; `ENGINE_UNKNOWN`.
    """
    try:
        return _compiled(pack, _engine(engine))
    except RuleCompileError as error:
        raise _do_not_compile(error) from error


def compile_sound_rules(pack: RulePack, engine: str | Engine = "yara") -> "tuple[CompiledPack, tuple[LeftOut, ...]]":
    """Compile what compiles of a pack; for scans by hand only, where somebody reads what was left out.

    Returns:
        The compiled pack, which has another version than the whole if anything is missing, and what is missing.

    Raises:
        BucklerError: `RULES_INVALID`: nothing would be left; `ENGINE_UNKNOWN`.
    """
    chosen = _engine(engine)
    try:
        return _compiled(pack, chosen), ()
    except RuleCompileError as error:
        # What tells rules apart is loaded when some have to be.
        from agent.scanner.packs.rule_salvage import salvage

        kept, left_out = salvage(pack.sources, error.problems, chosen.problem)
        if not kept:
            raise _do_not_compile(error) from error
    # What is left follows from the whole pack and the engine, and scans are remembered under both.
    partial = replace(pack, sources=kept, version=f"{pack.version}-partial")
    try:
        return _compiled(partial, chosen), left_out
    except RuleCompileError as error:
        raise _do_not_compile(error) from error


def _engine(engine: str | Engine) -> Engine:
    return engine_named(engine) if isinstance(engine, str) else engine


def _compiled(pack: RulePack, engine: Engine) -> CompiledPack:
    rule_count = 0

    def write_image(file: BinaryIO) -> None:
        nonlocal rule_count
        rule_count = engine.compile(pack.sources, file)

    image = anonymous_file("buckler-rules", write_image)
    return CompiledPack(pack.version, engine.name, engine.version, rule_count, pack.made_at, image, pack.credits)


def _read_manifest(path: Path) -> tuple[str, datetime]:
    try:
        manifest = tomllib.loads(path.read_text(encoding="utf-8"))
        version, made_at = manifest["version"], manifest["made_at"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError) as error:
        raise _invalid(str(path), 0, f"the manifest cannot be read: {error}") from error
    if not isinstance(version, str) or not isinstance(made_at, datetime) or made_at.tzinfo is None:
        raise _invalid(str(path), 0, "the manifest needs a text `version` and a `made_at` with its time zone")
    return version, made_at


def _read(path: Path, bundles: list[Bundle]) -> Iterator[RuleSource]:
    if path.is_dir():
        yield from _read_folder(path)
    elif zipfile.is_zipfile(path):
        yield from _read_zip(path, bundles)
    else:
        yield _source(path.stem, str(path), path.read_bytes())


def _read_folder(folder: Path) -> Iterator[RuleSource]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in RULE_SUFFIXES and path.is_file():
            namespace = namespace_of(path.relative_to(folder).as_posix())
            yield _source(namespace, str(path), path.read_bytes())


def _read_zip(path: Path, bundles: list[Bundle]) -> Iterator[RuleSource]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if PurePosixPath(m.filename).suffix.lower() in RULE_SUFFIXES]
            # `read` never gives more than a member's declared size, which is what is counted here.
            if len(members) > _MAX_PACK_FILES or sum(m.file_size for m in members) > _MAX_PACK_BYTES:
                raise _invalid(
                    str(path),
                    0,
                    f"more than {_MAX_PACK_FILES} rule files, or more than {_MAX_PACK_BYTES} bytes of them",
                )
            bundle = read_bundle(archive, members)
            bundles.extend([bundle] if bundle else [])
            for member in sorted(members, key=lambda m: m.filename):
                content = archive.read(member)
                yield _source(namespace_of(member.filename), f"{path}!{member.filename}", content)
    except BundleError as error:
        raise _invalid(str(path), 0, f"the bundle cannot be used: {error}") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise _invalid(str(path), 0, f"the zip archive cannot be read: {error}") from error


def _source(namespace: str, origin: str, content: bytes) -> RuleSource:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # libyara takes bytes; a comment in another encoding must not cost the rule.
        text = content.decode("latin-1")
    # A file name may hold any byte; a namespace is text for people and for the engine.
    return RuleSource(namespace.encode("utf-8", "backslashreplace").decode(), origin, text)


def _unique_namespaces(sources: Iterable[RuleSource]) -> tuple[RuleSource, ...]:
    taken: dict[str, int] = {}
    result: list[RuleSource] = []
    for source in sources:
        times = taken[source.namespace] = taken.get(source.namespace, 0) + 1
        namespace = source.namespace if times == 1 else f"{source.namespace}#{times}"
        result.append(RuleSource(namespace, source.origin, source.text))
    return tuple(result)


def _hash(sources: Iterable[RuleSource]) -> str:
    parts = (part.encode() for source in sources for part in (source.namespace, source.text))
    return parts_sha256(parts)[:_HASH_DIGITS]


def _not_found(path: Path, reason: str) -> BucklerError:
    return BucklerError(
        "RULES_NOT_FOUND",
        f"the rules {path} cannot be loaded: {reason}",
        next_step="check the path given with --rules or in [scanner] rules",
        facts={"file": str(path)},
    )


def _do_not_compile(error: RuleCompileError) -> BucklerError:
    first, *others = error.problems
    named = "; ".join(map(str, error.problems[:_MAX_NAMED]))
    unnamed = len(error.problems) - _MAX_NAMED
    message = f"{len(error.problems)} rule files do not compile: {named}" if others else named
    return BucklerError(
        "RULES_INVALID",
        f"{message}; and {unnamed} more" if unnamed > 0 else message,
        next_step=_FIX_RULES,
        facts={
            "file": first.source.origin,
            "line": str(first.line),
            "reason": first.reason,
            "broken_files": str(len(error.problems)),
        },
    )


def _invalid(file: str, line: int, reason: str) -> BucklerError:
    where = f"{file}, line {line}" if line else file
    return BucklerError(
        "RULES_INVALID",
        f"{where}: {reason}",
        next_step=_FIX_RULES,
        facts={"file": file, "line": str(line), "reason": reason},
    )
