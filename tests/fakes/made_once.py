"""Where things lie that a process makes once and that its tests copy."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path


@cache
def folder_of_templates() -> Path:
    """One folder a process, gone when that ends."""
    folder = Path(tempfile.mkdtemp(prefix="buckler-templates-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
