"""The completion script of fish. Pure text."""

from collections.abc import Iterator, Sequence

from exporter.cli.flags import Command, Flag


def script(program: str, commands: Sequence[Command]) -> str:
    """The script for these commands."""
    return "\n".join(_lines(program, commands)) + "\n"


def _lines(program: str, commands: Sequence[Command]) -> Iterator[str]:
    yield f"# fish completion for {program}; load it with: {program} completion fish | source"
    # files are offered where a flag takes one, and nowhere else
    yield f"complete -c {program} -f"
    yield f"complete -c {program} -s h -l help -d {_quoted('show help and exit')}"
    first = f"complete -c {program} -n __fish_use_subcommand"
    yield f"{first} -l version -d {_quoted('show the version and exit')}"
    for command in commands:
        yield f"{first} -a {command.name} -d {_quoted(command.summary)}"
    for command in commands:
        then = f"complete -c {program} -n '__fish_seen_subcommand_from {command.name}'"
        for argument in command.arguments:
            choices = " ".join(argument.choices)
            yield f"{then} -a {_quoted(choices)} -d {_quoted(argument.help)}"
        for flag in command.flags:
            yield f"{then} -l {flag.name}{_value(flag)} -d {_quoted(flag.help)}"


def _value(flag: Flag) -> str:
    if not flag.metavar:
        return ""
    if flag.choices:
        return f" -x -a {_quoted(' '.join(flag.choices))}"
    return " -r -F" if flag.metavar == "FILE" else " -x"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
