"""What every test module shares."""

import signal

import pytest


def pytest_configure() -> None:
    """A shell's background jobs ignore SIGINT, and so would all that tests start and interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    """The exporter runs on asyncio alone."""
    return "asyncio"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def both_loops(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """The loops that the exporter runs on: they name a failed connection in different ways.

    A module takes it by a fixture `anyio_backend` of its own.
    """
    return "asyncio", {"use_uvloop": bool(request.param)}
