"""Numbers with the word that fits them."""


def counted(number: int, noun: str) -> str:
    """`1 device`, `2 devices`; the noun has a plural in -s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
