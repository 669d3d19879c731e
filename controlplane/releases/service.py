"""The library of rules of others."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select

from controlplane.releases.bundle import pack_files, unpack_files, write_bundle
from controlplane.releases.errors import bundle_unsound, name_invalid, nothing_left, pack_unknown
from controlplane.releases.judging import Judge
from controlplane.releases.model import CleanHit, CleanReport, CompileReport, Intake, PackRule, Problem, RulePack
from controlplane.releases.selection import Selection, select_rules
from controlplane.releases.tables import rule_packs
from controlplane.runtime.clock import Clock
from controlplane.runtime.parts_hash import parts_sha256
from controlplane.storage.database import Database
from controlplane.storage.upsert import insert_into
from wire.rule_bundle import LICENCE_FOLDER, PACK_NAME

#: Hex digits of a pack's version: they tell versions apart, and are no security boundary.
_HASH_DIGITS = 12


@dataclass(frozen=True, slots=True)
class BuiltBundle:
    """A bundle, and what went into it."""

    content: bytes
    packs: tuple[RulePack, ...]
    selection: Selection


class SignatureLibrary:
    """Imports rule packs and builds bundles of them.

    Args:
        database: Where packs are kept.
        clock: Business time.
        judge: Compiles rules and tries them.
    """

    def __init__(self, database: Database, clock: Clock, judge: Judge) -> None:
        self._database = database
        self._clock = clock
        self._judge = judge

    async def import_pack(self, name: str, intake: Intake, clean_folders: Sequence[Path]) -> None:
        """Judge a pack and keep it; an earlier one of the same name is replaced.

        Args:
            name: What to call it.
            intake: What was handed in.
            clean_folders: Software in which it should find nothing.

        Raises:
            Refusal: PACK_NAME_INVALID or SCANNER_FAILED; the library is as before.
        """
        if not PACK_NAME.fullmatch(name) or name == LICENCE_FOLDER:
            raise name_invalid(name)
        compiled = await self._judge.compile(intake.files)
        # Rules of which none compiles find nothing; the report says why.
        folders = clean_folders if _can_scan(compiled) else ()
        clean = await self._judge.try_on_clean_software(intake.files, folders)
        now = self._clock.now()
        values = {
            "version": _version(intake.files),
            "licence": intake.licence,
            "licence_text": intake.licence_text,
            "attribution": intake.attribution,
            "source": intake.source,
            "files": pack_files(intake.files),
            "compile_report": json.dumps(asdict(compiled)),
            "clean_report": json.dumps(asdict(clean)),
            "imported_at": now,
        }
        async with self._database.transaction() as uow:
            statement = insert_into(uow.connection, rule_packs).values(name=name, first_imported_at=now, **values)
            await uow.connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))

    async def packs(self) -> tuple[RulePack, ...]:
        """All packs, in the order in which they first came."""
        in_order = select(rule_packs).order_by(rule_packs.c.first_imported_at, rule_packs.c.name)
        async with self._database.reading() as connection:
            return tuple(_pack(row) for row in await connection.execute(in_order))

    async def remove(self, name: str) -> None:
        """Forget a pack; bundles that hold it stay what they are.

        Raises:
            Refusal: PACK_UNKNOWN.
        """
        one = delete(rule_packs).where(rule_packs.c.name == name).returning(rule_packs.c.name)
        async with self._database.transaction() as uow:
            if (await uow.connection.execute(one)).first() is None:
                known = await uow.connection.scalars(select(rule_packs.c.name).order_by(rule_packs.c.name))
                raise pack_unknown(name, ", ".join(known))

    async def build(
        self, name: str, version: str, packs: Sequence[str] = (), *, keep_clean_hits: bool = False
    ) -> BuiltBundle:
        """Build a bundle that compiles as a whole.

        Args:
            name: Of the bundle.
            version: Of the bundle.
            packs: Their names; empty: all.
            keep_clean_hits: Keep rules that find something in clean software.

        Raises:
            Refusal: PACK_NAME_INVALID, PACK_UNKNOWN, BUNDLE_EMPTY, BUNDLE_UNSOUND or SCANNER_FAILED.
        """
        for word in (name, version):
            if not PACK_NAME.fullmatch(word):
                raise name_invalid(word)
        every = await self.packs()
        for pack in packs:
            named(every, pack)
        chosen = tuple(pack for pack in every if not packs or pack.name in packs)
        selection = select_rules(chosen, keep_clean_hits=keep_clean_hits)
        texts = {f"{pack}/{path}": text for pack, files in selection.texts.items() for path, text in files.items()}
        if not texts:
            raise nothing_left(", ".join(pack.name for pack in chosen) or "an empty library")
        report = await self._judge.compile(texts)
        if report.problems:
            first = report.problems[0]
            raise bundle_unsound(f"{first.path}, line {first.line}: {first.reason}")
        content = write_bundle(name, version, self._clock.now(), chosen, selection.texts)
        return BuiltBundle(content, chosen, selection)


def named(packs: Sequence[RulePack], name: str) -> RulePack:
    """The pack of that name.

    Raises:
        Refusal: PACK_UNKNOWN.
    """
    found = next((pack for pack in packs if pack.name == name), None)
    if found is None:
        raise pack_unknown(name, ", ".join(pack.name for pack in packs))
    return found


def _can_scan(compiled: CompileReport) -> bool:
    lost_files = {problem.path for problem in compiled.problems if not problem.rule}
    broken = {(problem.path, problem.rule) for problem in compiled.problems}
    sound = (rule for rule in compiled.rules if rule.path not in lost_files and (rule.path, rule.name) not in broken)
    return bool(compiled.whole_files) or any(sound)


def _pack(row: Any) -> RulePack:
    return RulePack(
        name=row.name,
        version=row.version,
        intake=Intake(unpack_files(row.files), row.licence, row.licence_text, row.attribution, row.source),
        compiled=_compiled(json.loads(row.compile_report)),
        clean=_clean(json.loads(row.clean_report)),
        first_imported_at=row.first_imported_at,
        imported_at=row.imported_at,
    )


def _compiled(document: Mapping[str, Any]) -> CompileReport:
    return CompileReport(
        rules=tuple(PackRule(**(rule | {"refers_to": tuple(rule["refers_to"])})) for rule in document["rules"]),
        problems=tuple(Problem(**problem) for problem in document["problems"]),
        whole_files=tuple(document["whole_files"]),
    )


def _clean(document: Mapping[str, Any]) -> CleanReport:
    return CleanReport(
        tuple(document["folders"]), document["files"], tuple(CleanHit(**hit) for hit in document["hits"])
    )


def _version(files: Mapping[str, str]) -> str:
    return parts_sha256(part for item in sorted(files.items()) for part in item).hex()[:_HASH_DIGITS]
