"""The completion script of zsh. Pure text."""

from collections.abc import Sequence

from exporter.cli.flags import Command, Flag

_SCRIPT = """\
#compdef {program}
# zsh completion for {program}; load it with: source <({program} completion zsh)
{function}() {{
    local context state state_descr line
    local -A opt_args
    _arguments -C \\
        '(- *)'{{-h,--help}}'[show help and exit]' \\
        '(- *)--version[show the version and exit]' \\
        '1:command:->command' \\
        '*::argument:->argument'
    case $state in
        command)
            local -a commands=(
{commands}
            )
            _describe command commands
            ;;
        argument)
            case $line[1] in
{arguments}
            esac
            ;;
    esac
}}
if [[ $funcstack[1] == {function} ]]; then
    {function} "$@"
else
    compdef {function} {program}
fi
"""


def script(program: str, commands: Sequence[Command]) -> str:
    """The script for these commands; it can be sourced, or found on `$fpath`."""
    return _SCRIPT.format(
        program=program,
        function=f"_{program}",
        commands="\n".join(
            f"                {_quoted(f'{command.name}:{command.summary}')}"
            for command in commands
        ),
        arguments="\n".join(map(_case, commands)),
    )


def _case(command: Command) -> str:
    specs = ["'(- *)'{-h,--help}'[show help and exit]'"]
    specs += [_quoted(_spec(flag)) for flag in command.flags]
    specs += [
        _quoted(f"{place}:{argument.name}:({' '.join(argument.choices)})")
        for place, argument in enumerate(command.arguments, 1)
    ]
    joined = " \\\n                        ".join(specs)
    return f"                {command.name})\n                    _arguments {joined} ;;"


def _spec(flag: Flag) -> str:
    described = f"[{_escaped(flag.help)}]"
    if not flag.metavar:
        return f"--{flag.name}{described}"
    several = "*" if flag.repeatable else ""
    return f"{several}--{flag.name}={described}:{_escaped(flag.metavar)}:{_action(flag)}"


def _action(flag: Flag) -> str:
    if flag.choices:
        return f"({' '.join(flag.choices)})"
    return "_files" if flag.metavar == "FILE" else ""


def _escaped(text: str) -> str:
    for special in "\\[]:":
        text = text.replace(special, f"\\{special}")
    return text


def _quoted(text: str) -> str:
    escaped = text.replace("'", "'\\''")
    return f"'{escaped}'"
