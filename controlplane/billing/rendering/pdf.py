"""A document as PDF; the same document gives the same bytes, whenever and wherever it is printed."""

from collections.abc import Iterable
from importlib import resources
from typing import Final

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import TTFFont

from controlplane.billing.rendering.printed import Printed

#: Latin, Greek and Cyrillic with all their marks; the default of the variable font is its regular weight.
_FONT_FILE: Final = "NotoSans[wdth,wght].ttf"
_FONT: Final = "noto"
#: Millimetres.
_WHAT, _PERIOD, _AMOUNT, _LINE = 100, 52, 38, 6
_SIZE, _TITLE_SIZE, _SMALL_SIZE = 10, 18, 8


def as_pdf(page: Printed) -> bytes:
    """The page, on as many sheets of A4 as it needs."""
    pdf = FPDF(format="A4")
    pdf.set_creation_date(page.issued_at)
    pdf.set_title(page.title)
    pdf.set_lang("en")
    pdf.add_font(_FONT, fname=str(resources.files("fontpkg_noto_sans").joinpath("files", _FONT_FILE)))
    pdf.add_page()
    sheet = _Sheet(pdf)
    sheet.line(page.title, size=_TITLE_SIZE, height=2 * _LINE)
    sheet.block(page.seller)
    sheet.block(("To", *page.bill_to))
    for name, value in page.fields:
        sheet.columns(((name, _AMOUNT, "L"), (value, _WHAT, "L")))
    pdf.ln(_LINE)
    for row in page.rows:
        sheet.columns(((row.what, _WHAT, "L"), (row.period, _PERIOD, "L"), (row.amount, _AMOUNT, "R")), ruled=True)
    for name, amount in page.totals:
        sheet.columns(((name, _WHAT, "L"), ("", _PERIOD, "L"), (amount, _AMOUNT, "R")), ruled=True)
    pdf.ln(_LINE)
    sheet.line(page.footer, size=_SMALL_SIZE)
    return bytes(pdf.output())


class _Sheet:
    """Writes text that the font may not have letters for."""

    def __init__(self, pdf: FPDF) -> None:
        self._pdf = pdf
        pdf.set_font(_FONT, size=_SIZE)
        font = pdf.fonts[_FONT]
        assert isinstance(font, TTFFont), "as_pdf loads it from a file"
        self._letters = frozenset(font.cmap)

    def line(self, text: str, *, size: int = _SIZE, height: int = _LINE) -> None:
        self._pdf.set_font(_FONT, size=size)
        self._pdf.multi_cell(0, height, self._shown(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self._pdf.set_font(_FONT, size=_SIZE)

    def block(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.line(line)
        self._pdf.ln(_LINE)

    def columns(self, cells: Iterable[tuple[str, int, str]], *, ruled: bool = False) -> None:
        """One row; a long text makes it higher."""
        pdf = self._pdf
        shown = [(self._shown(text), width, align) for text, width, align in cells]
        height = _LINE * max(self._lines(text, width) for text, width, _ in shown)
        if pdf.will_page_break(height):
            pdf.add_page()
        top, left = pdf.get_y(), pdf.l_margin
        for text, width, align in shown:
            pdf.set_xy(left, top)
            pdf.multi_cell(width, _LINE, text, align=align)
            left += width
        if ruled:
            pdf.line(pdf.l_margin, top, left, top)
        pdf.set_xy(pdf.l_margin, top + height)

    def _lines(self, text: str, width: int) -> int:
        lines = self._pdf.multi_cell(width, _LINE, text, dry_run=True, output="LINES")
        assert isinstance(lines, list), "that is what LINES asks for"
        return max(1, len(lines))

    def _shown(self, text: str) -> str:
        """Letters that the font does not have are written as escapes: they can be told apart, unlike empty boxes."""
        return "".join(
            letter if ord(letter) in self._letters else letter.encode("unicode_escape").decode() for letter in text
        )
