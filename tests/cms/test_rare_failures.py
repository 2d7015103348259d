"""Failures that no server of a test can be made to cause: by the errors that a library raises."""

import httpx

from exporter.cms.connections import Exchange
from exporter.cms.failures import of_transport
from exporter.cms.foreign_text import ForeignText
from exporter.errors import Reason
from exporter.server import Server

SERVER = Server("https://10.22.26.181:28443")
EXCHANGE = Exchange(lambda _: None)
FOREIGN = ForeignText(())


def test_what_nobody_expected_is_not_named_after_a_neighbour() -> None:
    """It is the exporter's own fault until somebody looks at it."""
    error = httpx.TransportError("")
    error.__cause__ = ZeroDivisionError("canary")

    found = of_transport(error, SERVER, EXCHANGE, 0.0, FOREIGN)

    assert found.reason is Reason.INTERNAL
    assert "ZeroDivisionError" in found.message
    assert "canary" not in found.message
