"""The documents name files and symbols; a reader who follows them must arrive."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
DOCUMENTS = sorted([TOP / "README.md", *TOP.glob("docs/**/*.md")])
_PATH = re.compile(r"`((?:agent|controlplane|wire|proto|tests|signatures|benchmarks|deploy|docs)/[\w./-]+)`")
_LINK = re.compile(r"\]\(([\w./-]+)\)")
_ANCHOR = re.compile(r"\]\(([\w./-]*)#([\w-]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_SYMBOL_ROW = re.compile(r"^\| (`.+?`.*?) \| `([\w/.]+\.(?:py|proto))` \|$", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(TOP).as_posix())
def test_every_path_that_is_named_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    missing = [path for path in _PATH.findall(text) if not (TOP / path).exists()]
    missing += [link for link in _LINK.findall(text) if not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(TOP).as_posix())
def test_every_section_that_is_linked_exists(document: Path) -> None:
    links = _ANCHOR.findall(document.read_text(encoding="utf-8"))
    lost = [
        f"{link}#{section}"
        for link, section in links
        if section not in anchors(document.parent / link if link else document)
    ]
    assert lost == []


def anchors(document: Path) -> list[str]:
    """What the sections of a document are called in links: lower case, hyphens for spaces, no other marks."""
    headings = _HEADING.findall(_FENCE.sub("", document.read_text(encoding="utf-8")))
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(TOP).as_posix())
def test_no_two_sections_have_the_same_name(document: Path) -> None:
    found = anchors(document)
    assert [name for name in found if found.count(name) > 1] == []


@pytest.mark.parametrize("document", sorted(TOP.glob("docs/paths/*.md")), ids=lambda path: path.stem)
def test_every_symbol_is_in_the_file_that_is_named(document: Path) -> None:
    rows = _SYMBOL_ROW.findall(document.read_text(encoding="utf-8"))
    assert rows, "no table of symbols"
    for symbols, path in rows:
        text = (TOP / path).read_text(encoding="utf-8")
        for symbol in re.findall(r"`(\w+)(?:\.\w+)?`", symbols):
            assert symbol in text, f"{symbol} is not in {path}"


@pytest.mark.parametrize("side", ["agent", "controlplane"])
def test_every_room_is_on_the_map(side: str) -> None:
    page = (TOP / "docs/ARCHITECTURE.md").read_text(encoding="utf-8")
    (drawn,) = [block for block in _FENCE.findall(page) if f"\n{side}/ " in block]
    rooms = [f"{room.parent.name}/" for room in (TOP / side).glob("*/__init__.py")]
    files = [file.name for file in (TOP / side).glob("*.py") if file.stem != "__init__"]
    assert [name for name in rooms + files if not re.search(rf"(?<![\w/]){re.escape(name)}", drawn)] == []


def test_the_readme_leads_to_every_page() -> None:
    linked = {(TOP / link).resolve() for link in _LINK.findall((TOP / "README.md").read_text(encoding="utf-8"))}
    pages = {page for page in TOP.glob("docs/**/*.md") if page.parent.name != "adr"}
    assert pages - linked == set()
