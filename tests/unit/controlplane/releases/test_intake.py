import zipfile
from pathlib import Path

import pytest

from controlplane.releases.intake import copyright_holder, licence_named, read_pack
from controlplane.runtime.refusal import Refusal

RULE = "rule a { condition: true }"
MIT = """MIT License

Copyright (c) 2020-2024 Ann Example

Permission is hereby granted, free of charge, to any person obtaining a copy of
this software and associated documentation files
"""


def test_licence_and_authors_come_from_the_file_nearest_to_the_top(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "COPYING").write_text("GNU GENERAL PUBLIC LICENSE Version 3")
    (tmp_path / "LICENSE").write_text(MIT)
    (tmp_path / "deep" / "a.yara").write_text(RULE)
    intake = read_pack(tmp_path, licence="", attribution="")
    assert (intake.licence, intake.attribution, intake.files) == ("MIT", "Ann Example", {"deep/a.yar": RULE})
    assert intake.licence_text == MIT


def test_rules_without_terms_are_not_taken(tmp_path: Path) -> None:
    (tmp_path / "a.yar").write_text(RULE)
    with pytest.raises(Refusal) as refused:
        read_pack(tmp_path / "a.yar", licence="", attribution="")
    assert refused.value.reason == "PACK_LICENCE_MISSING"
    with pytest.raises(Refusal) as refused:
        read_pack(tmp_path / "a.yar", licence="MIT", attribution="")
    assert refused.value.reason == "PACK_ATTRIBUTION_MISSING"


def test_names_in_an_archive_lead_nowhere_and_collide_with_nothing(tmp_path: Path) -> None:
    path = tmp_path / "pack.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../../evil.yar", "/evil.yar", "EVIL.yara", "a b\x1b[2J.yar", "..yar.yar"):
            archive.writestr(name, RULE)
    files = read_pack(path, licence="MIT", attribution="Ann").files
    assert len(files) == 5
    assert len({name.lower() for name in files}) == 5
    assert all(name.isprintable() and ".." not in name.split("/") and not name.startswith("/") for name in files)


@pytest.mark.parametrize("content", [b"PK\x05\x06" + bytes(18), b"PK\x03\x04 no archive"])
def test_what_holds_no_rules_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pack.zip"
    path.write_bytes(content)
    if not zipfile.is_zipfile(path):
        path.unlink()
    with pytest.raises(Refusal) as refused:
        read_pack(path, licence="MIT", attribution="Ann")
    assert refused.value.reason == "PACK_UNREADABLE"


def test_whom_to_credit_is_one_line_that_moves_no_cursor(tmp_path: Path) -> None:
    (tmp_path / "a.yar").write_text(RULE)
    assert read_pack(tmp_path, licence="MIT", attribution="Ann\n and\x1b[2J Bob").attribution == "Ann and [2J Bob"


@pytest.mark.parametrize(
    ("text", "licence", "holder"),
    [
        (MIT, "MIT", "Ann Example"),
        ("# Detection Rule License (DRL) 1.1\n", "DRL 1.1", ""),
        ("Copyright 2019, Bob\nApache License\n  Version 2.0, January 2004", "Apache-2.0", "Bob"),
        ("do what you want", "", ""),
    ],
)
def test_common_licences_are_known_by_their_words(text: str, licence: str, holder: str) -> None:
    assert (licence_named(text), copyright_holder(text)) == (licence, holder)
