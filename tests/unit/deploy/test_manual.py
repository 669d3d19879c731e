import shutil
import subprocess

import pytest

from deploy.building.command_tree import read_program
from deploy.building.manual import Context, manual_page
from deploy.building.share import PROGRAMS, share_files
from tests.unit.deploy.programs import program

CONTEXT = Context("do things", "1.0", "2026-11-25", (("0", "Done."),), (("/etc/x", "Settings."),), (), ("other",))


def test_a_page_has_all_that_the_help_has() -> None:
    page = manual_page(program(), CONTEXT)
    for part in (".TH TOOL 1", ".SH NAME", ".SS tool paint PATH...", "\\fB\\-\\-colour\\fR", ".SS tool box close"):
        assert part in page
    assert "secret" not in page
    assert "Nobody" not in page


def test_what_roff_would_read_is_escaped() -> None:
    assert "It\\(aqs the [file] used." in manual_page(program(), CONTEXT)


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
@pytest.mark.parametrize("name", list(PROGRAMS))
def test_our_pages_have_no_errors(name: str) -> None:
    pages = share_files(read_program(name, PROGRAMS[name]), "2026-11-25")
    page = pages[f"man/man1/{name}.1"]
    done = subprocess.run(
        ["mandoc", "-Tlint", "-Wwarning"],
        input=page,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    assert f"buckler {'status' if name == 'buckler' else ''}".strip() in page.replace("\\", "")
