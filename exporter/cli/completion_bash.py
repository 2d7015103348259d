"""The completion script of bash. Pure text; it works without the package bash-completion."""

from collections.abc import Iterable, Sequence

from exporter.cli.flags import Command, Flag

_SCRIPT = """\
# bash completion for {program}; load it with: source <({program} completion bash)
{function}() {{
    local IFS=$'\\n'
    local word=${{COMP_WORDS[COMP_CWORD]}} flag=${{COMP_WORDS[COMP_CWORD-1]}}
    # bash takes "--flag=value" for three words
    if [[ $word == "=" ]]; then
        word=
    elif [[ $flag == "=" ]]; then
        flag=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W {commands} -- "$word"))
        return
    fi
    case ${{COMP_WORDS[1]}}:$flag in
{values}
        *)
            case ${{COMP_WORDS[1]}} in
{words}
            esac
            ;;
    esac
}}
complete -F {function} {program}
"""


def script(program: str, commands: Sequence[Command]) -> str:
    """The script for these commands."""
    names = [command.name for command in commands]
    return _SCRIPT.format(
        program=program,
        function="_" + program.replace("-", "_"),
        commands=_words([*names, "--help", "--version"]),
        values="\n".join(
            f"        {command.name}:--{flag.name}) {_value(flag)} ;;"
            for command in commands
            for flag in command.flags
            if flag.metavar
        ),
        words="\n".join(
            f"                {command.name}) "
            f'COMPREPLY=($(compgen -W {_words(_offered(command))} -- "$word")) ;;'
            for command in commands
        ),
    )


def _offered(command: Command) -> list[str]:
    choices = [choice for argument in command.arguments for choice in argument.choices]
    return [*choices, *(f"--{flag.name}" for flag in command.flags), "--help"]


def _value(flag: Flag) -> str:
    if flag.choices:
        return f'COMPREPLY=($(compgen -W {_words(flag.choices)} -- "$word"))'
    if flag.metavar == "FILE":
        return 'COMPREPLY=($(compgen -f -- "$word")); compopt -o filenames 2>/dev/null'
    return ":"


def _words(words: Iterable[str]) -> str:
    return "$'" + "\\n".join(words) + "'"
