"""Mail: every part is met decoded, broken mail is read as far as it goes, and text is not taken for mail."""

import base64

import pytest

from agent.domain.facts import Incomplete
from agent.scanner.containers import mail
from tests.fakes.archives import zip_of
from tests.fakes.documents import mail_of, uu_of
from tests.fakes.eicar import EICAR
from tests.unit.agent.scanner.containers.test_formats import contents_of

HEAD = b"From: a@example.org\nSubject: x\nMIME-Version: 1.0\n"


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_an_attachment_is_met_decoded(encoding: str) -> None:
    met, incomplete = contents_of(mail_of({"a.bin": EICAR + b"\xe4="}, encoding))
    assert met["outer!a.bin"].startswith(EICAR + b"\xe4=")
    assert incomplete == []


def test_an_attached_archive_is_opened_in_turn() -> None:
    assert contents_of(mail_of({"a.zip": zip_of({"b": EICAR})}))[0]["outer!a.zip!b"] == EICAR


def test_an_attached_message_is_taken_apart() -> None:
    inner = mail_of({"deep.bin": EICAR})
    outer = HEAD + b'Content-Type: multipart/mixed; boundary="q"\n\n--q\nContent-Type: message/rfc822\n\n' + inner
    assert contents_of(outer + b"\n--q--\n")[0]["outer!deep.bin"] == EICAR


def test_a_uuencoded_file_is_met_alone_and_in_a_message() -> None:
    packed = uu_of("x.com", EICAR)
    assert contents_of(packed)[0]["outer!x.com"] == EICAR
    assert contents_of(HEAD + b"\nhello\n\n" + packed)[0]["outer!part-1/x.com"] == EICAR
    met, incomplete = contents_of(packed[: -len(b"`\nend\n")])
    assert met["outer!x.com"] == EICAR
    assert [item.reason for item in incomplete] == ["damaged"]


def test_every_message_of_a_folder_is_met() -> None:
    separator = b"From a@b Mon Jan  1 00:00:00 2024\n"
    met, incomplete = contents_of(separator + mail_of({"a": b"x"}) + b"\n" + separator + mail_of({"b": EICAR}))
    assert met["outer!message-2!b"] == EICAR
    assert incomplete == []


def test_base64_with_junk_and_padding_in_it_is_decoded_whole() -> None:
    first, second = base64.b64encode(EICAR[:31]), base64.b64encode(EICAR[31:])
    assert mail.decode_base64(first[:9] + b"!*\x00\r\n" + first[9:] + second.rstrip(b"=")) == EICAR


def test_bytes_that_are_no_text_survive_in_a_body_that_is_not_encoded() -> None:
    met, incomplete = contents_of(HEAD + b"Content-Transfer-Encoding: 8bit\n\n\xff\xfe\x00" + EICAR)
    assert (met["outer!part-1"], incomplete) == (b"\xff\xfe\x00" + EICAR, [])


def test_a_part_without_its_last_boundary_is_met() -> None:
    data = mail_of({"a": EICAR})
    assert contents_of(data[: data.index(b"\n--=-x--")])[0]["outer!a"] == EICAR


def test_a_message_whose_boundary_never_comes_is_damaged_and_its_body_is_met() -> None:
    met, incomplete = contents_of(mail_of({"a": EICAR}).replace(b'boundary="=-x"', b'boundary="other"'))
    assert met["outer!part-1/section-1!a"] == EICAR
    assert incomplete == [Incomplete("damaged", None, ("outer", "part-1"))]


def test_names_in_unheard_of_character_sets_do_not_hide_a_part() -> None:
    data = mail_of({"a": EICAR}).replace(b'filename="a"', b"filename*=no-such-charset''%ff%fe")
    assert EICAR in contents_of(data)[0].values()


def test_an_encrypted_message_says_so() -> None:
    data = HEAD + b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nxxxx\n"
    assert [item.reason for item in contents_of(data)[1]] == ["encrypted"]


@pytest.mark.parametrize(
    "text",
    [
        b"Metadata-Version: 2.1\nName: x\nVersion: 1\nSummary: y\n\nFrom: a\nTo: b\n",
        b"Package: x\nVersion: 1\nDate: today\nMaintainer: z\n",
        b"From here on: it is a text.\nDate: x\nTo: y\n",
        b"---\ntitle: x\nsubject: y\ndate: z\n",
        b"import re\nfrom: x\n",
        b"begin at the beginning\n",
        b"",
    ],
)
def test_text_is_no_mail(text: bytes) -> None:
    assert contents_of(text) == ({"outer": text}, [])


def test_a_part_glued_to_another_by_a_bent_boundary_is_met() -> None:
    data = mail_of({"a": b"decoy", "b": EICAR})
    met, _incomplete = contents_of(data.replace(b"\n--=-x\n", b"\n--=-y\n").replace(b"\n--=-y\n", b"\n--=-x\n", 1))
    assert EICAR in met.values()


def test_what_stands_before_the_first_boundary_and_behind_the_last_is_met() -> None:
    data = mail_of({"a": b"x"}).replace(b"\n\n--=-x\n", b"\n\n" + EICAR + b"\n--=-x\n", 1) + b"behind it"
    met, incomplete = contents_of(data)
    assert (met["outer!part-1/preamble"], met["outer!part-1/epilogue"], incomplete) == (EICAR, b"behind it", [])


def test_a_body_of_headers_is_opened_once_at_every_depth() -> None:
    header = b"notype: x\nContent-Transfer-Encoding: 8bit\nContent-Disposition: attachment\n\n"
    met, _incomplete = contents_of(HEAD + b"\n" + header * 30)
    assert len(met) < 40
