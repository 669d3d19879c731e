"""How mails leave: through a mail server, or, while developing, as one file each."""

import asyncio
import os
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Final, Protocol

from controlplane.notices.model import Notice

_TIMEOUT_S: Final = 30.0
_PERMANENT: Final = range(500, 600)


class MailDelayedError(Exception):
    """Not now: nobody answered, or the mail server asks to come again; `str` is a code without an address."""


class MailRefusedError(Exception):
    """Never: the mail server refuses the address or the mail; `str` is a code without an address."""


class Mail(Protocol):
    """Delivers mails. A mail that is delivered twice carries the same Message-ID."""

    async def deliver(self, notice: Notice) -> None:
        """Hand a notice over.

        Raises:
            MailDelayedError: Try again later.
            MailRefusedError: Do not.
        """


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """Where mails go out.

    Attributes:
        host: Of the mail server.
        port: 465 speaks TLS from the start, others are asked for STARTTLS.
        sender: Address that mails come from.
        username: Empty: no sign-in.
        password: From the environment.
        plain: Without TLS: only for a mail server on this machine.
    """

    host: str
    port: int
    sender: str
    username: str = ""
    password: str = ""
    plain: bool = False


def mail_of(notice: Notice, sender: str) -> EmailMessage:
    """The mail of a notice: the same bytes however often it is made."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = notice.recipient
    message["Subject"] = notice.rendered.subject
    message["Date"] = format_datetime(notice.queued_at)
    message["Message-ID"] = f"<{notice.notice_id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(notice.rendered.text)
    message.add_alternative(notice.rendered.html, subtype="html")
    boundary = f"=_{notice.notice_id}"
    message.set_boundary(boundary)
    return message


class SmtpMail:
    """Mails through SMTP; the standard library's client, which blocks, runs in a thread.

    Args:
        settings: Where to.
    """

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings

    async def deliver(self, notice: Notice) -> None:
        """See `Mail`."""
        await asyncio.to_thread(self._send, mail_of(notice, self._settings.sender))

    def _send(self, message: EmailMessage) -> None:
        try:
            with self._connected() as client:
                client.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            raise _failure(code, "recipient") from error
        except smtplib.SMTPResponseException as error:
            # A sign-in that is refused is our mistake, not the customer's address: mails wait until it is mended.
            permanent = not isinstance(error, smtplib.SMTPAuthenticationError)
            raise _failure(error.smtp_code if permanent else 0, "server") from error
        except (OSError, smtplib.SMTPException) as error:
            raise MailDelayedError(type(error).__name__) from error

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        context = ssl.create_default_context()
        if settings.port == smtplib.SMTP_SSL_PORT:
            client: smtplib.SMTP = smtplib.SMTP_SSL(settings.host, settings.port, timeout=_TIMEOUT_S, context=context)
        else:
            client = smtplib.SMTP(settings.host, settings.port, timeout=_TIMEOUT_S)
        try:
            if not settings.plain and settings.port != smtplib.SMTP_SSL_PORT:
                client.starttls(context=context)
            if settings.username:
                client.login(settings.username, settings.password)
        except BaseException:
            client.close()
            raise
        return client


def _failure(code: int, whose: str) -> MailDelayedError | MailRefusedError:
    if code in _PERMANENT:
        return MailRefusedError(f"{whose}_{code}")
    return MailDelayedError(f"{whose}_{code}" if code else whose)


class MailHeld:
    """No mail leaves: programs that only make or mend an installation. Notices wait for its server."""

    async def deliver(self, notice: Notice) -> None:  # noqa: ARG002 -- the port's
        """See `Mail`."""
        raise MailDelayedError("held")


class MailFolder:
    """Mails as files `NOTICE.eml` in a folder: for development, and for whoever carries them away by other means.

    Args:
        folder: Created with the first mail.
        sender: Address that mails come from.
    """

    def __init__(self, folder: Path, sender: str) -> None:
        self._folder = folder
        self._sender = sender

    async def deliver(self, notice: Notice) -> None:
        """See `Mail`."""
        await asyncio.to_thread(self._write, notice)

    def _write(self, notice: Notice) -> None:
        partial = self._folder / f".{notice.notice_id}.partial"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(mail_of(notice, self._sender).as_bytes())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._folder / f"{notice.notice_id}.eml")
        except OSError as error:
            raise MailDelayedError(type(error).__name__) from error
