"""The table of log messages is complete: nothing is logged past it, and nothing in it is unused."""

import ast
import logging
from pathlib import Path

import pytest

import exporter
from exporter import log_messages
from exporter.log_messages import LogMessage
from tests.support.paths import ROOT

PACKAGE = Path(exporter.__file__).parent
LOGGING = {"debug", "info", "warning", "error", "exception", "critical", "log"}
BY_NAME = {
    name: value for name, value in vars(log_messages).items() if isinstance(value, LogMessage)
}


def trees() -> dict[str, ast.Module]:
    """Every module but the table itself."""
    return {
        str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "log_messages.py"
    }


def test_nothing_is_logged_in_another_way() -> None:
    """So the page that is made from the table has every message."""
    found = [
        f"{name}:{node.lineno}"
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LOGGING
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"_log", "log", "logger", "logging"}
    ]
    assert found == []


def test_every_message_is_in_the_table_and_used() -> None:
    """A message that is no longer logged goes from the documents, too."""
    used = {
        node.attr
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "log_messages"
    }
    assert used == set(BY_NAME)


def test_each_message_says_what_to_do() -> None:
    """Texts differ, and a document that is named is there."""
    assert len({message.text for message in BY_NAME.values()}) == len(BY_NAME)
    for message in BY_NAME.values():
        assert message.cause.endswith(".")
        assert message.remedy.endswith(".")
        for word in message.remedy.split():
            if word.startswith("docs/"):
                assert (ROOT / word.rstrip(".;,:")).exists(), word


def test_only_documented_fields_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """In the order of the table; others are left out."""
    message = LogMessage(logging.WARNING, "text", "cause.", "remedy.", ("cms", "vdn"))
    message.log({"vdn": 7, "other": "x", "cms": "lima"})
    message.log(level=logging.DEBUG)
    message.log()
    first, second = caplog.records
    assert list(first.__dict__["fields"].items()) == [("cms", "lima"), ("vdn", 7)]
    assert second.__dict__["fields"] == {}
