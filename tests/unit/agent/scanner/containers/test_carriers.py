"""RTF, HTML, OneNote and TNEF: what they carry is met, and what breaks off is damaged."""

import base64
import struct

import pytest

from agent.domain.facts import Incomplete
from tests.fakes.archives import zip_of
from tests.fakes.documents import ole_of, onenote_of, rtf_of, tnef_of
from tests.fakes.eicar import EICAR
from tests.unit.agent.scanner.containers.test_formats import contents_of


def test_a_packaged_file_in_rtf_is_met_whatever_is_strewn_between_its_digits() -> None:
    met, incomplete = contents_of(rtf_of(EICAR))
    assert met["outer!objdata-1/a.com"] == EICAR
    assert incomplete == []


@pytest.mark.parametrize(
    "digits",
    [
        EICAR.hex().encode(),
        EICAR.hex().upper().encode(),
        b"{\\*\\junk abc}" + EICAR.hex().encode(),
        b"\\bin68 " + EICAR,
        EICAR.hex().encode()[:40] + b"\\'\\xyz-12 \r\n\t" + EICAR.hex().encode()[40:],
        b"{" + EICAR.hex().encode() + b"}",
    ],
)
def test_the_digits_of_an_object_are_read_in_every_dress(digits: bytes) -> None:
    met, _incomplete = contents_of(b"{\\rt{\\object{\\*\\objdata" + digits.join((b" ", b"}}}")))
    assert EICAR in met.values()


def test_a_compound_file_behind_a_bent_header_in_rtf_is_opened() -> None:
    digits = (b"bent header" + ole_of({"s": EICAR})).hex().encode()
    assert contents_of(b"{\\rtf1{\\objdata " + digits + b"}}")[0]["outer!objdata-1/compound!s"] == EICAR


def test_what_data_uris_carry_is_met() -> None:
    packed = base64.b64encode(zip_of({"a": EICAR}))
    page = b"<!DOCTYPE html>\n<a href='DATA:application/zip;name=x;base64," + packed + b"'>"
    met, incomplete = contents_of(page)
    assert met["outer!data-1!a"] == EICAR
    assert incomplete == []
    quoted = b"".join(b"%%%02x" % byte for byte in EICAR)
    assert contents_of(b'<svg><image href="data:text/plain,' + quoted + b'"/>')[0]["outer!data-1"] == EICAR


def test_a_page_without_data_uris_and_a_text_with_one_are_no_containers() -> None:
    for text in (b"<html><p>data: none</p>", b"see data:text/plain;base64,QUJDQUJDQUJDQUJDQUJD"):
        assert contents_of(text) == ({"outer": text}, [])


def test_a_file_embedded_in_onenote_is_met() -> None:
    met, incomplete = contents_of(onenote_of(EICAR))
    assert (met["outer!file-1"], incomplete) == (EICAR, [])


def test_a_onenote_file_with_a_lying_size_is_damaged_and_met() -> None:
    data = onenote_of(EICAR)
    lying = data.replace(struct.pack("<Q", len(EICAR)), b"\xff" * 8, 1)
    met, incomplete = contents_of(lying)
    assert EICAR in met["outer!file-1"]
    assert incomplete == [Incomplete("damaged", None, ("outer", "file-1"))]


def test_a_tnef_attachment_is_met_under_its_title() -> None:
    met, incomplete = contents_of(tnef_of("a.com", EICAR))
    assert (met["outer!a.com"], incomplete) == (EICAR, [])


def test_a_tnef_that_breaks_off_is_damaged_and_read_so_far() -> None:
    met, incomplete = contents_of(tnef_of("a.com", EICAR + b"more")[:-5])
    assert EICAR in met["outer!a.com"]
    assert {item.reason for item in incomplete} == {"damaged"}
    assert contents_of(tnef_of("a.com", EICAR) + b"junk that is no attribute")[1]
