import pytest

from agent.scanner.routing.leading_bytes import StringDefinition, leading_bytes


@pytest.mark.parametrize(
    ("string", "expected"),
    [
        (StringDefinition("$a", "text", "MZ"), {b"MZ"}),
        (StringDefinition("$a", "text", r"\x7fELF\"\\\n"), {b'\x7fELF"\\\n'}),
        (StringDefinition("$a", "text", "0123456789"), {b"01234567"}),
        (StringDefinition("$a", "text", "a\u00e9"), {b"a"}),
        (StringDefinition("$a", "text", "<A", ("nocase",)), {b"<a", b"<A"}),
        (StringDefinition("$a", "text", "abcdef", ("nocase",)), None),
        (StringDefinition("$a", "text", "MZ", ("wide",)), {b"M\0Z\0"}),
        (StringDefinition("$a", "text", "MZ", ("wide", "ascii", "fullword")), {b"M\0Z\0", b"MZ"}),
        (StringDefinition("$a", "text", "MZ", ("xor(1-2)",)), None),
        (StringDefinition("$a", "text", "MZ", ("base64wide",)), None),
        (StringDefinition("$a", "regex", "/MZ/"), None),
        (StringDefinition("$a", "byte", "{ 4D 5a [2-4] 00 }"), {b"MZ"}),
        (StringDefinition("$a", "byte", "{4D5A?1}"), {b"MZ"}),
        (StringDefinition("$a", "byte", "{ 4? 5A }"), None),
        (StringDefinition("$a", "byte", "{ ~4D 5A }"), None),
        (StringDefinition("$a", "byte", "{ (4D | 5A) 00 }"), None),
    ],
)
def test_only_bytes_that_are_certain_are_told(string: StringDefinition, expected: set[bytes] | None) -> None:
    found = leading_bytes(string)
    if string.value == "abcdef":
        # As many letters as keep the spellings few, each in both cases.
        assert found is not None
        assert {spelling.lower() for spelling in found} == {b"abcd"}
    else:
        assert (found if found is None else set(found)) == expected
