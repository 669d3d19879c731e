import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.rule_bundle import BundledPack, BundleError, BundleManifest, manifest_from_json, manifest_to_json

PACK = BundledPack("web", "1", "MIT", "Ann", {"web/a.yar": "0" * 64})
MANIFEST = BundleManifest("third-party", "2026.1", datetime(2026, 1, 1, tzinfo=UTC), (PACK,))


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert manifest_from_json(manifest_to_json(MANIFEST)) == MANIFEST


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"form": 2}, "form 2"),
        ({"packs": []}, "no packs"),
        ({"made_at": "2026-01-01T00:00:00"}, "time zone"),
        ({"made_at": "soon"}, "no time"),
        ({"name": "two\nlines"}, "no line of text"),
        ({"packs": [{"name": "../up", "version": "", "licence": "", "attribution": "", "files": {}}]}, "a-z"),
    ],
)
def test_what_is_no_manifest_is_refused_with_the_reason(change: dict[str, object], reason: str) -> None:
    document = json.loads(manifest_to_json(MANIFEST)) | change
    with pytest.raises(BundleError, match=reason):
        manifest_from_json(json.dumps(document).encode())


@pytest.mark.parametrize("files", [{"other/a.yar": "0" * 64}, {"web/a.yar": "short"}, {"web/a.yar": 1}, [], None])
def test_a_pack_stays_in_its_folder_and_hashes_all_its_files(files: object) -> None:
    document = json.loads(manifest_to_json(MANIFEST))
    document["packs"][0]["files"] = files
    with pytest.raises(BundleError, match="web"):
        manifest_from_json(json.dumps(document).encode())


def test_two_packs_of_one_name_are_refused() -> None:
    document = json.loads(manifest_to_json(MANIFEST))
    document["packs"] *= 2
    with pytest.raises(BundleError, match="twice"):
        manifest_from_json(json.dumps(document).encode())


@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_bytes_are_a_manifest_or_refused(untrusted: bytes) -> None:
    with pytest.raises(BundleError):
        manifest_from_json(untrusted)
