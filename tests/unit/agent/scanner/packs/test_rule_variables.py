import pytest

from agent.scanner.packs.rule_variables import file_type, variables_for


@pytest.mark.parametrize(
    ("path", "trail", "expected"),
    [
        ("/a/b.EXE", ("b.EXE",), ("b.EXE", "/a", ".exe")),
        ("/a/.bashrc", (".bashrc",), (".bashrc", "/a", "")),
        ("plain", ("plain",), ("plain", "", "")),
        ("/a/x.zip", ("x.zip", "in/side.Js"), ("side.Js", "/a/x.zip/in", ".js")),
        ("/a/\udcff", ("\udcff",), ("\\udcff", "/a", "")),
        ("/a/x.zip", ("x.zip", "nul\0.txt"), ("nul\\x00.txt", "/a/x.zip", ".txt")),
    ],
)
def test_rules_are_told_name_folder_and_extension(
    path: str, trail: tuple[str, ...], expected: tuple[str, str, str]
) -> None:
    variables = variables_for(path, trail, b"", "")
    assert (variables["filename"], variables["filepath"], variables["extension"]) == expected


def test_rules_are_told_type_and_owner() -> None:
    variables = variables_for("/a/x.zip", ("x.zip", "b.dll"), b"MZ\x90\0", "alice")
    assert (variables["filetype"], variables["owner"]) == ("EXE", "alice")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"MZ", "EXE"),
        (b"\x7fELF\x02", "ELF"),
        (b"\x7fE", ""),
        (b"PK\x05\x06", "ZIP"),
        (b"PK\x07\x08", ""),
        (b"<?php", "PHP"),
        (b"<?xml", "XML"),
        (b"#!/bin/sh", "UNIX SCRIPT"),
        (b"\x89PNG", "PNG"),
        (b"M", ""),
        (b"", ""),
    ],
)
def test_the_first_bytes_tell_the_type(content: bytes, name: str) -> None:
    assert file_type(content) == name
