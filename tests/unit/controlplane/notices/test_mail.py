"""Mails as files, and through a mail server that speaks SMTP on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from controlplane.notices.mail import (
    MailDelayedError,
    MailFolder,
    MailRefusedError,
    SmtpMail,
    SmtpSettings,
    mail_of,
)
from tests.unit.controlplane.notices.test_model import delivered

pytestmark = pytest.mark.enable_socket


@asynccontextmanager
async def mail_server(answer: str) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Takes mails; answers every recipient with `answer`."""
    taken: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())
            await writer.drain()

        await say("220 here")
        while line := await reader.readline():
            command = line.decode().split()[0].upper()
            if command == "DATA":
                await say("354 go on")
                taken.append(await reader.readuntil(b"\r\n.\r\n"))
                await say("250 taken")
            elif command == "QUIT":
                await say("221 bye")
                break
            else:
                await say(answer if command == "RCPT" else "250 good")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], taken


def smtp(port: int) -> SmtpMail:
    return SmtpMail(SmtpSettings("127.0.0.1", port, "buckler@example.com", plain=True))


async def test_a_mail_server_takes_both_forms_of_a_notice() -> None:
    async with mail_server("250 good") as (port, taken):
        await smtp(port).deliver(delivered())
    mail = message_from_bytes(taken[0], policy=policy.default)
    assert mail["Message-ID"] == "<ntc_1@example.com>"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize(("answer", "error"), [("550 nobody", MailRefusedError), ("451 later", MailDelayedError)])
async def test_a_refused_address_is_final_and_a_busy_server_is_not(answer: str, error: type[Exception]) -> None:
    async with mail_server(answer) as (port, _):
        with pytest.raises(error) as caught:
            await smtp(port).deliver(delivered())
    assert "anna" not in str(caught.value)


async def test_a_server_that_is_away_is_tried_again() -> None:
    async with mail_server("250 good") as (port, _):
        pass
    with pytest.raises(MailDelayedError):
        await smtp(port).deliver(delivered())


async def test_a_folder_gets_one_file_per_mail_however_often_it_is_delivered(tmp_path: Path) -> None:
    folder = MailFolder(tmp_path / "mail", "buckler@example.com")
    for _ in range(2):
        await folder.deliver(delivered())
    (file,) = (tmp_path / "mail").iterdir()
    assert file.name == "ntc_1.eml"
    assert file.read_bytes() == mail_of(delivered(), "buckler@example.com").as_bytes()


async def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file is in the way")
    with pytest.raises(MailDelayedError):
        await MailFolder(tmp_path / "mail", "buckler@example.com").deliver(delivered())
