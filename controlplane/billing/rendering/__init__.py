"""Documents for people: text, HTML and PDF, all made from the canonical bytes and from nothing else."""

import asyncio

from controlplane.billing.invoices.document import Document
from controlplane.billing.rendering.html import as_html
from controlplane.billing.rendering.printed import printed
from controlplane.billing.rendering.text import as_text


async def as_bytes(format_name: str, document: Document, content: bytes, sha256: bytes) -> bytes:
    """A document in one of its formats.

    Args:
        format_name: `text`, `html`, `pdf` or `canonical`.
        document: As it went out.
        content: Its canonical bytes.
        sha256: Their hash in the chain.
    """
    if format_name == "canonical":
        return content
    page = printed(document, sha256)
    if format_name == "pdf":
        # Late and on another thread: the library is large, and a page takes some 50 ms.
        from controlplane.billing.rendering.pdf import as_pdf

        return await asyncio.to_thread(as_pdf, page)
    return (as_html(page) if format_name == "html" else as_text(page)).encode()
