"""Texts that came from elsewhere, made visible: a file name must not be able to move the reader's cursor."""


def visible(untrusted_text: str) -> str:
    r"""The text with everything that is not printable written as an escape, e.g. `\x1b` and `\u202e`."""
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in untrusted_text)


def visible_path(untrusted_path: bytes) -> str:
    r"""A device's path: file systems promise no encoding, so bytes that are no UTF-8 are written as `\xff`."""
    return visible(untrusted_path.decode("utf-8", "backslashreplace"))


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
