"""What every test module shares."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The exporter runs on asyncio alone."""
    return "asyncio"
