import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from controlplane.cli.ctl.detections.cef import cef_line, escaped_header, escaped_value
from controlplane.cli.visible import visible

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
nasty = st.text(st.sampled_from("ab|=\\\n\r\t\x1b\u202eé \u2028") | st.characters(), max_size=20)


def _header_fields(line: str) -> list[str]:
    """As a reader of CEF takes a header apart: at bars that no backslash escapes."""
    found: list[str] = []
    current, escaped = "", False
    for letter in line:
        if escaped:
            current, escaped = current + letter, False
        elif letter == "\\":
            escaped = True
        elif letter == "|" and len(found) < 7:
            found.append(current)
            current = ""
        else:
            current += letter
    return [*found, current]


@given(text=nasty)
def test_a_header_field_comes_back_as_it_is_shown(text: str) -> None:
    assert _header_fields(f"{escaped_header(text)}|rest") == [visible(text), "rest"]


@given(text=nasty)
def test_a_value_comes_back_and_holds_neither_key_nor_line_end(text: str) -> None:
    escaped = escaped_value(text)
    assert re.search(r"(?<!\\)(\\\\)*=", escaped) is None
    assert escaped.splitlines() in ([], [escaped])
    back = re.sub(r"\\(.)", lambda match: {"n": "\n", "r": "\r"}.get(match[1], match[1]), escaped)
    assert back == "".join(letter if letter in "\r\n" else visible(letter) for letter in text)


@given(name=nasty, rule=nasty.filter(bool), path=st.binary(min_size=1, max_size=20))
def test_a_detection_is_one_line_with_eight_parts(name: str, rule: str, path: bytes) -> None:
    finding = {"rule": rule, "threat_name": None, "severity": "high", "member": None}
    row = {
        "findings": [finding],
        "received_at": AT,
        "detected_at": AT,
        "uuid": "u",
        "device_id": "dev_1",
        "device_name": name,
        "path": path.decode("utf-8", "surrogateescape"),
        "sha256": "",
        "size_bytes": 1,
        "action": "reported",
        "incident_id": None,
    }
    line = cef_line(row, "1.0")
    assert line.splitlines() == [line]
    assert line.startswith("Mar  2 09:00:00 buckler CEF:0|Buckler|Buckler|1.0|")
    fields = _header_fields(line)
    assert (len(fields), fields[4:7]) == (8, [visible(rule), visible(rule), "8"])
