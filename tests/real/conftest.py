"""A browser for the tests of a module, on the one event loop that they share for it."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.support.browser import chromium


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Chromium; a test that needs a profile of its own opens a new context."""
    async with chromium() as started:
        yield started
