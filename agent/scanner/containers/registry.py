"""All container formats, in the order they are tried. To add one, add its file and name it here."""

from agent.scanner.containers import (
    binhex_files,
    compressed_streams,
    html_pages,
    libarchive_formats,
    mail,
    ole_documents,
    onenote_sections,
    packed_programs,
    pdf_documents,
    rtf_objects,
    seven_zip_formats,
    tar_archives,
    tnef_attachments,
    unix_programs,
    unopened_formats,
    windows_programs,
    zip_archives,
)
from agent.scanner.containers.family import Family

FAMILIES: tuple[Family, ...] = (
    zip_archives.FAMILY,
    tar_archives.FAMILY,
    *compressed_streams.FAMILIES,
    *libarchive_formats.FAMILIES,
    *seven_zip_formats.FAMILIES,
    ole_documents.FAMILY,
    *mail.FAMILIES,
    rtf_objects.FAMILY,
    pdf_documents.FAMILY,
    html_pages.FAMILY,
    binhex_files.FAMILY,
    onenote_sections.FAMILY,
    tnef_attachments.FAMILY,
    windows_programs.FAMILY,
    *unix_programs.FAMILIES,
    packed_programs.FAMILY,
    *unopened_formats.FAMILIES,
)
