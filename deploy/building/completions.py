"""Completions for bash, zsh and fish. They hold all words themselves: a TAB starts no Python, not even as root."""

from collections.abc import Iterator

from deploy.building.command_tree import Command, Option

_WRITTEN = "# Written from the program's own help when Buckler was built."


def bash_completion(program: Command) -> str:
    """A function for bash: the words typed so far name a command, and that has its words."""
    function = _function(program)
    cases = "\n".join(_bash_case(command) for command in program.all())
    values = "\n".join(_bash_values(program))
    with_value = sorted({name for command in program.all() for option in command.options if option.value
                         for name in option.names})  # fmt: skip
    return f"""\
{_WRITTEN}
{function}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} path={program.name} at words=
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        case " {" ".join(with_value)} " in
            *" ${{COMP_WORDS[at]}} "*) ((at++)); continue ;;
        esac
        case "$path ${{COMP_WORDS[at]}}" in
            {_alternatives(command for command in program.all()[1:])}) path+=" ${{COMP_WORDS[at]}}" ;;
        esac
    done
    case "$before" in
{values}
    esac
    case "$path" in
{cases}
    esac
    if [[ $word == -* || $words != *" -f" ]]; then
        COMPREPLY=($(compgen -W "${{words% -f}}" -- "$word"))
    else
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -W "${{words% -f}}" -- "$word") $(compgen -f -- "$word"))
    fi
}}
complete -F {function} {program.name}
"""


def _function(program: Command) -> str:
    return "_" + program.name.replace("-", "_")


def _alternatives(commands: Iterator[Command]) -> str:
    return " | ".join(f'"{" ".join(command.path)}"' for command in commands)


def _bash_case(command: Command) -> str:
    """The command's words; ` -f` at the end: files too."""
    words = [below.name for below in command.commands]
    words += [choice for argument in command.arguments for choice in argument.choices]
    words += [name for option in command.options for name in option.names] + ["--help"]
    files = " -f" if _takes_files(command) else ""
    return f'        "{" ".join(command.path)}") words="{" ".join(words)}{files}" ;;'


def _takes_files(command: Command) -> bool:
    return any("PATH" in argument.shown or "FILE" in argument.shown for argument in command.arguments)


def _bash_values(program: Command) -> Iterator[str]:
    """What may stand behind an option: its choices, a path, or nothing that anybody could guess."""
    for name, option in sorted(_options_with_value(program).items()):
        if option.choices:
            reply = f'COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$word"))'
        elif option.is_path:
            reply = 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$word"))'
        else:
            reply = ":"
        yield f"        {name}) {reply}; return ;;"


def _options_with_value(program: Command) -> dict[str, Option]:
    """By name; options of one name are alike in all commands of a program, or the first one's values are offered."""
    found: dict[str, Option] = {}
    for command in program.all():
        for option in command.options:
            if option.value:
                for name in option.names:
                    found.setdefault(name, option)
    return found


def fish_completion(program: Command) -> str:
    """One line for each word, on the condition that its command has been typed."""
    lines = [_WRITTEN, f"complete --command {program.name} --no-files"]
    for command in program.all():
        condition = f"--condition {_fish_quoted(_fish_condition(program, command))}"
        start = f"complete --command {program.name} {condition}"
        lines += [f"{start} --arguments {below.name} --description {_fish_quoted(below.summary)}"
                  for below in command.commands]  # fmt: skip
        lines += [f"{start} --arguments {_fish_quoted(' '.join(argument.choices))}"
                  for argument in command.arguments if argument.choices]  # fmt: skip
        lines += [f"{start} --force-files"] if _takes_files(command) else []
        lines += [f"{start} {_fish_option(option)}" for option in command.options]
    return "\n".join(lines) + "\n"


def _fish_condition(program: Command, command: Command) -> str:
    """Every word of its path was seen, none of the commands below it, and none of other ways to the same name."""
    words = command.path[1:]
    others = {other.name for other in program.commands if words} | {below.name for below in command.commands}
    unseen = " ".join(sorted(others - set(words)))
    tests = [f"__fish_seen_subcommand_from {word}" for word in words]
    return "; and ".join((*tests, *([f"not __fish_seen_subcommand_from {unseen}"] if unseen else []))) or "true"


def _fish_option(option: Option) -> str:
    names = " ".join(
        f"--long-option {n[2:]}" if n.startswith("--") else f"--short-option {n[1:]}" for n in option.names
    )
    if option.choices:
        value = f"--exclusive --arguments {_fish_quoted(' '.join(option.choices))}"
    elif option.is_path:
        value = "--require-parameter --force-files"
    else:
        value = "--exclusive" if option.value else ""
    return f"{names} {value} --description {_fish_quoted(option.help)}"


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def zsh_completion(program: Command) -> str:
    """One function: `_arguments` knows the options, and hands what follows a command to a case of its own."""
    function = _function(program)
    functions = "\n\n".join(_zsh_function(function, command) for command in program.all())
    return f'#compdef {program.name}\n{_WRITTEN}\n{functions}\n\n{function} "$@"\n'


def _zsh_function(top: str, command: Command) -> str:
    name = _zsh_name(top, command)
    specs = [_zsh_option(option) for option in command.options] + ["'--help[Show this help.]'"]
    if not command.commands:
        specs += [_zsh_argument(argument.shown, argument.choices) for argument in command.arguments]
        return f"{name}() {{\n  _arguments -s \\\n    " + " \\\n    ".join(specs) + "\n}"
    described = "\n      ".join(_zsh_quoted(f"{below.name}:{below.summary}") for below in command.commands)
    cases = "\n".join(f"        {below.name}) {_zsh_name(top, below)} ;;" for below in command.commands)
    all_specs = " \\\n    ".join([*specs, "'1: :->command'", "'*:: :->rest'"])
    return f"""\
{name}() {{
  local state line
  _arguments -s -C \\
    {all_specs}
  case $state in
    command)
      local -a commands=(
      {described}
      )
      _describe command commands ;;
    rest)
      case $line[1] in
{cases}
      esac ;;
  esac
}}"""


def _zsh_name(top: str, command: Command) -> str:
    return "__".join((top, *(word.replace("-", "_") for word in command.path[1:])))


def _zsh_option(option: Option) -> str:
    help_text = option.help.replace("[", "(").replace("]", ")").replace(":", "\\:")
    value = f":{_zsh_word(option.value)}:{_zsh_values(option.choices, is_path=option.is_path)}" if option.value else ""
    one_of = f"({' '.join(option.names)})" if len(option.names) > 1 else ""
    return " ".join(_zsh_quoted(f"{one_of}*{name}[{help_text}]{value}") for name in option.names)


def _zsh_argument(shown: str, choices: tuple[str, ...]) -> str:
    is_path = "PATH" in shown or "FILE" in shown
    return _zsh_quoted(f"*:{_zsh_word(shown)}:{_zsh_values(choices, is_path=is_path)}")


def _zsh_word(text: str) -> str:
    return text.replace(":", " ").replace("[", "").replace("]", "")


def _zsh_values(choices: tuple[str, ...], *, is_path: bool) -> str:
    if choices:
        return f"({' '.join(choices)})"
    return "_files" if is_path else " "


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
