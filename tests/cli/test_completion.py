"""The completion scripts: bash's in a real bash, the others by what they hold."""

import subprocess
from pathlib import Path

import pytest

from exporter.cli import COMMANDS, PROGRAM
from exporter.cli.completion import SCRIPTS
from exporter.cli.completion_fish import script as fish
from exporter.cli.completion_zsh import script as zsh
from exporter.cli.flags import Argument, Command, Flag
from tests.support.processes import program, run


def nothing(_: object) -> int:
    """Stands for what a command does."""
    return 0


QUOTES = Command(
    "wash",
    "wash one's hands: 'now'",
    nothing,
    (
        Flag("soap", r"a [brand]: Mum's \ Dad's", metavar="FILE", repeatable=True),
        Flag("how", "the way", metavar="TEXT"),
        Flag("water", "its warmth", choices=("cold", "hot")),
        Flag("dry", "dry them", metavar=""),
    ),
    (Argument("hand", "which", ("left", "right")),),
)


@pytest.mark.parametrize("shell", SCRIPTS)
def test_each_script_knows_every_command_and_flag(shell: str) -> None:
    """As the command prints it."""
    done = run("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == SCRIPTS[shell](PROGRAM, COMMANDS)
    for command in COMMANDS:
        assert command.name in done.stdout
        for flag in command.flags:
            written = f"-l {flag.name} " if shell == "fish" else f"--{flag.name}"
            assert written in done.stdout


def completed(folder: Path, *words: str) -> list[str]:
    """What a real bash offers for the last of these words."""
    (folder / "completion").write_text(SCRIPTS["bash"](PROGRAM, COMMANDS), encoding="utf-8")
    quoted = " ".join(f"'{word}'" for word in words)
    asking = (
        "source ./completion\n"
        f"COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}\n"
        "$(complete -p agent-rest-exporter | sed 's/.*-F \\([^ ]*\\) .*/\\1/')\n"
        'for word in "${COMPREPLY[@]}"; do echo "$word"; done\n'
    )
    bash = program("bash", "bash")
    done = subprocess.run(
        [bash, "--norc", "-c", asking], capture_output=True, check=True, cwd=folder, text=True
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ser"], ["serve"]),
        (["--v"], ["--version"]),
        (["serve", "--log."], ["--log.level", "--log.format"]),
        (["serve", "--log.level", "de"], ["debug"]),
        # bash takes "--flag=value" for three words
        (["serve", "--log.format", "="], ["logfmt", "json"]),
        (["serve", "--log.level", "=", "w"], ["warning"]),
        (["query", "--vdn", ""], []),
        (["query", "--vdn", "1", "--show"], ["--show-names"]),
        (["check", "--json", "--l"], ["--live"]),
        (["completion", ""], ["bash", "zsh", "fish", "--help"]),
        (["check", "--config.file", "my"], ["my config.yaml"]),
        (["check", "--config.file", "=", "my"], ["my config.yaml"]),
    ],
)
def test_bash_completes(tmp_path: Path, words: list[str], offered: list[str]) -> None:
    """Commands, flags, values that are known, and files, also with a space in the name."""
    (tmp_path / "my config.yaml").touch()
    assert completed(tmp_path, PROGRAM, *words) == offered


def test_bash_offers_all_commands(tmp_path: Path) -> None:
    """In the order of the help."""
    names = [command.name for command in COMMANDS]
    assert completed(tmp_path, PROGRAM, "") == [*names, "--help", "--version"]


def test_fish_gets_its_quotes() -> None:
    """Whatever a help text holds stays a text; files are offered only where a flag takes one."""
    assert fish("w", [QUOTES]) == (
        "# fish completion for w; load it with: w completion fish | source\n"
        "complete -c w -f\n"
        "complete -c w -s h -l help -d 'show help and exit'\n"
        "complete -c w -n __fish_use_subcommand -l version -d 'show the version and exit'\n"
        "complete -c w -n __fish_use_subcommand -a wash -d 'wash one\\'s hands: \\'now\\''\n"
        "complete -c w -n '__fish_seen_subcommand_from wash' -a 'left right' -d 'which'\n"
        "complete -c w -n '__fish_seen_subcommand_from wash' -l soap -r -F "
        "-d 'a [brand]: Mum\\'s \\\\ Dad\\'s'\n"
        "complete -c w -n '__fish_seen_subcommand_from wash' -l how -x -d 'the way'\n"
        "complete -c w -n '__fish_seen_subcommand_from wash' -l water -x -a 'cold hot' "
        "-d 'its warmth'\n"
        "complete -c w -n '__fish_seen_subcommand_from wash' -l dry -d 'dry them'\n"
    )


def test_zsh_gets_its_quotes() -> None:
    """Brackets and colons mean something to `_arguments`."""
    lines = [line.strip() for line in zsh("w", [QUOTES]).splitlines()]
    assert lines[0] == "#compdef w"
    assert "'wash:wash one'\\''s hands: '\\''now'\\'''" in lines
    case = lines.index("wash)")
    assert lines[case + 1 : case + 7] == [
        "_arguments '(- *)'{-h,--help}'[show help and exit]' \\",
        "'*--soap=[a \\[brand\\]\\: Mum'\\''s \\\\ Dad'\\''s]:FILE:_files' \\",
        "'--how=[the way]:TEXT:' \\",
        "'--water=[its warmth]:TEXT:(cold hot)' \\",
        "'--dry[dry them]' \\",
        "'1:hand:(left right)' ;;",
    ]


def test_a_shell_that_nobody_has() -> None:
    """Names those that there are."""
    done = run("completion", "tcsh")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "agent-rest-exporter completion: argument shell: 'tcsh' is none of bash, zsh, fish; see "
        "agent-rest-exporter completion --help\n"
    )
