"""PDF: streams are met decoded; what cannot be read says so."""

import io

import pikepdf
import pytest

from agent.domain.facts import Incomplete
from tests.fakes.archives import zip_of
from tests.fakes.documents import pdf_of
from tests.fakes.eicar import EICAR
from tests.unit.agent.scanner.containers.test_formats import contents_of


@pytest.mark.parametrize("coding", ["", "/FlateDecode", "/ASCIIHexDecode"])
def test_a_stream_is_met_decoded(coding: str) -> None:
    met, incomplete = contents_of(pdf_of(EICAR, coding))
    assert EICAR in [data for name, data in met.items() if "!" in name]
    assert incomplete == []


def test_an_attached_archive_is_opened_in_turn() -> None:
    assert EICAR in contents_of(pdf_of(zip_of({"a": EICAR}), "/FlateDecode"))[0].values()


def test_an_encrypted_document_says_so() -> None:
    buffer = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf_of(EICAR, ""))) as document:
        document.save(buffer, encryption=pikepdf.Encryption(owner="o", user="u"))
    assert contents_of(buffer.getvalue())[1] == [Incomplete("encrypted")]


def test_a_document_that_cannot_be_read_is_damaged() -> None:
    assert contents_of(b"%PDF-1.7\n" + b"junk " * 50)[1] == [Incomplete("damaged")]


def test_a_document_without_its_end_is_damaged_and_still_read() -> None:
    data = pdf_of(EICAR, "/FlateDecode")
    met, incomplete = contents_of(data[: data.rindex(b"startxref")])
    assert EICAR in met.values()
    assert incomplete == [Incomplete("damaged")]


def test_a_stream_that_does_not_inflate_is_damaged() -> None:
    data = pdf_of(EICAR, "/FlateDecode").replace(b"stream\nx\x9c", b"stream\nx\xff")
    assert "damaged" in {item.reason for item in contents_of(data)[1]}
