"""The manual page: as generated, complete, and well-formed."""

import subprocess
import sys

from exporter.cli import COMMANDS, DESCRIPTION, PROGRAM
from exporter.cli.flags import Command, Flag
from exporter.cli.manual import page
from tests.support.paths import ROOT

COMMITTED = ROOT / "docs" / "agent-rest-exporter.1"


def nothing(_: object) -> int:
    """Stands for what a command does."""
    return 0


def test_the_committed_page_is_the_generated_one() -> None:
    """`python -m exporter.cli.manual > docs/agent-rest-exporter.1` writes it."""
    generated = subprocess.run(
        [sys.executable, "-m", "exporter.cli.manual"], capture_output=True, check=True, text=True
    )
    assert generated.stderr == ""
    assert COMMITTED.read_text(encoding="utf-8") == generated.stdout


def test_the_page_tells_of_every_flag() -> None:
    """With its default and its variable."""
    text = page(PROGRAM, DESCRIPTION, COMMANDS).replace("\\-", "-")
    for command in COMMANDS:
        section = text.partition(f'.SS "{command.usage}"\n')[2].partition(".S")[0]
        for flag in command.flags:
            assert f"\n.B {flag.usage}\n" in section
            assert " ".join(f"[{note}]" for note in flag.notes) in section


def test_a_help_text_cannot_be_taken_for_roff() -> None:
    """Dots, quotes and backslashes at the wrong place would vanish, or be obeyed."""
    flag = Flag("x", ".so /etc/passwd", r"'\n", metavar="TEXT")
    lines = page("w", "Does it.", [Command("go", "go", nothing, (flag,))]).splitlines()
    assert "\\&.so /etc/passwd." in lines
    assert "[default: \\(aq\\en] [$AGENT_REST_EXPORTER_X]" in lines
    known = (".TH", ".nh", ".ad", ".SH", ".SS", ".TP", ".BR", ".B", ".br")
    assert all(line.split()[0] in known for line in lines if line.startswith((".", "'")))
