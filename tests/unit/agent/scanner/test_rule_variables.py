import pytest

from agent.scanner.rule_variables import variables_for


@pytest.mark.parametrize(
    ("path", "trail", "expected"),
    [
        ("/a/b.EXE", ("b.EXE",), ("b.EXE", "/a", ".exe")),
        ("/a/.bashrc", (".bashrc",), (".bashrc", "/a", "")),
        ("plain", ("plain",), ("plain", "", "")),
        ("/a/x.zip", ("x.zip", "in/side.Js"), ("side.Js", "/a/x.zip/in", ".js")),
        ("/a/\udcff", ("\udcff",), ("\\udcff", "/a", "")),
        ("/a/x.zip", ("x.zip", "nul\0.txt"), ("nul\\x00.txt", "/a/x.zip", ".txt")),
    ],
)
def test_rules_are_told_name_folder_and_extension(
    path: str, trail: tuple[str, ...], expected: tuple[str, str, str]
) -> None:
    variables = variables_for(path, trail)
    assert (variables["filename"], variables["filepath"], variables["extension"]) == expected
