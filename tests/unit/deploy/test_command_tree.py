from deploy.building.command_tree import Command
from tests.unit.deploy.programs import program


def command(*path: str) -> Command:
    return next(found for found in program().all() if found.path == ("tool", *path))


def test_every_visible_command_is_there_and_no_hidden_one() -> None:
    assert [found.path[1:] for found in program().all()] == [
        (),
        ("paint",),
        ("box",),
        ("box", "open"),
        ("box", "close"),
    ]


def test_options_have_their_names_values_and_choices() -> None:
    colour, dry = command("paint").options
    assert (colour.names, colour.choices) == (("--colour", "-c"), ("red", "blue"))
    assert (dry.names, dry.value) == (("--dry",), "")
    [config] = command().options
    assert config.is_path
    assert config.help == "It's the [file] used."


def test_arguments_have_what_stands_for_them() -> None:
    assert command("paint").arguments[0].shown == "PATH…"
    assert command("box", "open").arguments[0].choices == ("red", "blue")


def test_a_summary_is_the_first_paragraph() -> None:
    assert command("box", "open").summary == "Open a box"
