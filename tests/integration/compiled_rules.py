"""The built-in rules, compiled once a process: that takes seconds, and most tests are about something else."""

import os
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

from agent.scanner.engines.kept_files import FOLDER
from agent.scanner.engines.registry import engine_label, engine_that_remembers
from agent.scanner.packs.deferred_pack import PackEngine
from agent.scanner.packs.rule_files import builtin_signatures
from agent.scanner.packs.rulepack import CompiledPack, compile_pack, load_rules
from tests.fakes.made_once import folder_of_templates


def device_folder(data_dir: Path) -> Path:
    """Make a data folder that has them, as a device's has after its first start."""
    _pack()
    data_dir.mkdir(mode=0o700, parents=True)
    shutil.copytree(_data_dir() / FOLDER, data_dir / FOLDER)
    return data_dir


def builtin_pack() -> CompiledPack:
    """The rules themselves; the caller closes them."""
    # The image is sealed and read by position, so copies of its descriptor do not meet.
    pack = _pack()
    return replace(pack, image=os.dup(pack.image))


def remembering_engine(name: str) -> PackEngine:
    """One that compiles nothing twice in this process, and notes nothing."""
    return PackEngine(engine_label(name), None, lambda: engine_that_remembers(name, _device()))


@cache
def _device() -> Path:
    return device_folder(folder_of_templates() / "device")


@cache
def _data_dir() -> Path:
    folder = folder_of_templates() / "rules"
    folder.mkdir(mode=0o700)
    return folder


@cache
def _pack() -> CompiledPack:
    return compile_pack(load_rules([builtin_signatures()]), engine_that_remembers("yara", _data_dir()))
