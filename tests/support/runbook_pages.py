"""The runbooks as tests read them: pages, and the commands on them."""

import re
from pathlib import Path
from typing import Final

from tests.support.alert_rules import PROMETHEUS, RUNBOOKS, alerts, alerts_of_the_chart

PAGES: Final = sorted(RUNBOOKS / f"{name}.md" for name in alerts() | alerts_of_the_chart())
LAYOUTS: Final = ("systemd", "Compose", "Kubernetes")
_BLOCK: Final = r"^```{}\n(.*?)^```$"
_PART: Final = re.compile(r"<!-- make rules: (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def blocks(text: str, language: str) -> list[str]:
    """The lines of a text's code blocks in a language; each is one command or expression."""
    found = re.findall(_BLOCK.format(language), text, re.MULTILINE | re.DOTALL)
    return [line for block in found for line in block.splitlines()]


def prose(page: Path) -> str:
    """A page without its generated parts and its code blocks."""
    text = _PART.sub("", page.read_text(encoding="utf-8"))
    return re.sub(_BLOCK.format(r"\w+"), "", text, flags=re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """The commands of a page in their order, without the definitions and the remarks."""
    text = page.read_text(encoding="utf-8").replace(definitions_text(), "")
    return [line.partition("  # ")[0].strip() for line in blocks(text, "sh")]


def definitions_text() -> str:
    """The part of every page that defines `exporter` and `logs`."""
    return (PROMETHEUS / "templates" / "shell.md").read_text(encoding="utf-8")


def definitions(layout: str) -> str:
    """The definitions of `exporter` and `logs` for one of the layouts."""
    of_layout = rf"^```sh\n# ({layout}\b.*?)^```$"
    (block,) = re.findall(of_layout, definitions_text(), re.MULTILINE | re.DOTALL)
    _title, _, functions = block.partition("\n")
    return str(functions)
