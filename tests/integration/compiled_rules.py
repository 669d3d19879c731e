"""The built-in rules as a device has them after its first start: compiled, and kept in its data folder."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

from agent.scanner.engines.registry import engine_that_remembers
from agent.scanner.kept_files import FOLDER
from agent.scanner.rule_files import builtin_signatures
from agent.scanner.rulepack import compile_pack, load_rules


def device_folder(data_dir: Path) -> Path:
    """Make a data folder that has them: compiling takes seconds, and most tests are about something else."""
    data_dir.mkdir(mode=0o700, parents=True)
    shutil.copytree(_compiled_once() / FOLDER, data_dir / FOLDER)
    return data_dir


@cache
def _compiled_once() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="buckler-rules-"))
    compile_pack(load_rules([builtin_signatures()]), engine_that_remembers("yara", folder)).close()
    return folder
