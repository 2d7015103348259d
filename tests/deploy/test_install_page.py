"""docs/install.md: its files exist, and its commands and examples are valid."""

import re
import shlex
from pathlib import Path

import pytest

from exporter.cli.commands import COMMANDS, PROGRAM
from exporter.cli.flags import ENVIRONMENT_PREFIX
from exporter.config.load import load
from tests.support.command_line import parsed, variables
from tests.support.paths import ROOT

PAGE = (ROOT / "docs/install.md").read_text(encoding="utf-8")
# Files that the page's own commands create.
MADE = {
    "deploy/compose/.env",
    "deploy/compose/exporter/config.yaml",
    "deploy/compose/exporter/secrets",
    "deploy/compose/exporter/secrets/lima-sk",
    "deploy/compose/secrets/grafana-admin-password",
}


def blocks(language: str) -> list[str]:
    """The page's code blocks in one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_every_file_that_it_names_is_there() -> None:
    """Or is created by a command of the page."""
    named = set(re.findall(r"(?<![\w/.-])(?:deploy|requirements)[\w/.-]*\w", PAGE))
    assert {name for name in named if not (ROOT / name).exists()} <= MADE <= named
    assert "deploy/systemd/agent-rest-exporter.service" in named


def test_the_commands_are_understood() -> None:
    """Every line that runs the exporter, by itself or in a container."""
    names = {command.name for command in COMMANDS}
    lines = "".join(blocks("sh")).replace("\\\n", "").splitlines()
    calls = [
        words[place + 1 :]
        for words in (shlex.split(line, comments=True) for line in lines)
        for place, word in enumerate(words[:-1])
        if Path(word).name == PROGRAM and words[place + 1] in names
    ]
    tried = [parsed(arguments).command for arguments in calls]
    assert tried == ["demo", "healthcheck", "healthcheck", "demo", "check"]


def test_everything_downloaded_is_held_to_its_hash() -> None:
    """Also what builds the wheel: pip runs it as root."""
    [block] = [text for text in blocks("sh") if "-m venv /opt" in text]
    commands = re.findall(r"pip\"? (?:install|wheel) .*", block)
    assert len(commands) == 4
    for command in commands:
        assert "--require-hashes -r requirements" in command or (
            "--no-deps" in command
            and ("--no-build-isolation" in command or command.endswith('"$build"/*.whl'))
        )


def test_the_variables_are_flags() -> None:
    """Every variable that it sets belongs to a flag."""
    named = set(re.findall(rf"{ENVIRONMENT_PREFIX}[A-Z_]+", PAGE))
    assert len(named) > 2
    assert named <= variables()


def test_the_smallest_configuration_is_valid(tmp_path: Path) -> None:
    """With the secret where systemd would put it."""
    [text] = blocks("yaml")
    unit = "/run/credentials/agent-rest-exporter.service"
    assert text.count(unit) == 1
    (tmp_path / "secrets_lima-sk").write_text("word\n", encoding="utf-8")
    file = tmp_path / "config.yaml"
    file.write_text(text.replace(unit, str(tmp_path)), encoding="utf-8")
    assert len(load(file, {}).targets) == 3


@pytest.mark.parametrize(
    "path",
    [
        "/opt/agent-rest-exporter/bin/agent-rest-exporter",
        "/etc/agent-rest-exporter/config.yaml",
        "/etc/agent-rest-exporter/secrets",
    ],
)
def test_the_unit_and_the_page_agree(path: str) -> None:
    """The unit starts and reads what the page installs."""
    unit = (ROOT / "deploy/systemd/agent-rest-exporter.service").read_text(encoding="utf-8")
    assert path in unit
    assert path in PAGE
