"""All container formats, in the order they are tried. To add one, add its file and name it here."""

from agent.scanner.containers import (
    compressed_streams,
    libarchive_formats,
    mail,
    ole_documents,
    tar_archives,
    zip_archives,
)
from agent.scanner.containers.family import Family

FAMILIES: tuple[Family, ...] = (
    zip_archives.FAMILY,
    tar_archives.FAMILY,
    *compressed_streams.FAMILIES,
    *libarchive_formats.FAMILIES,
    ole_documents.FAMILY,
    *mail.FAMILIES,
)
