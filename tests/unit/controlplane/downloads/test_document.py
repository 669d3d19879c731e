import pytest

from controlplane.downloads.document import content_sha256, read_downloads, table_from_json, table_json
from controlplane.runtime.refusal import Refusal

GOOD = f"""
version = 3
[[artifacts]]
os = "linux"
architecture = "x86_64"
libc = "glibc"
version = "1.2.0"
format = "deb"
needs = "2.36"
url = "https://downloads.example.com/buckler_1.2.0_amd64.deb"
sha256 = "{"a" * 64}"
size_bytes = 1000
[[stores]]
os = "ios"
url = "https://store.example.com/buckler"
"""
SECOND = GOOD.partition("[[stores]]")[0].partition("version = 3")[2]


def test_a_table_is_read_stored_and_read_back() -> None:
    table = read_downloads(GOOD.encode())
    assert (table.version, len(table.artifacts), len(table.stores)) == (3, 1, 1)
    restored = table_from_json(table_json(table), 3)
    assert restored == table
    assert content_sha256(restored) == content_sha256(table)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("version = 3", "version = 0", "version"),
        ('os = "linux"', 'os = "beos"', "artifacts[0].os"),
        ('"x86_64"', '"amd64"', "artifacts[0]"),
        ('"1.2.0"', '"latest"', "artifacts[0].version"),
        ("https://downloads", "http://downloads", "artifacts[0].url"),
        ("a" * 64, "a" * 63, "artifacts[0].sha256"),
        ("size_bytes = 1000", "size_bytes = 0", "artifacts[0].size_bytes"),
        ('os = "linux"', 'os = "macos"', "artifacts[0]"),
        ('os = "ios"', 'os = "linux"', "stores[0].os"),
        ("[[stores]]", SECOND + "[[stores]]", "the file"),
        (GOOD, "version = 3", "the file"),
    ],
)
def test_a_mistake_is_named_with_its_key(old: str, new: str, key: str) -> None:
    assert old in GOOD
    with pytest.raises(Refusal) as refused:
        read_downloads(GOOD.replace(old, new, 1).encode())
    assert (refused.value.reason, refused.value.facts["key"]) == ("DOWNLOADS_INVALID", key)
