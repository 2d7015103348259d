"""How the suite runs, and the fixtures that every module can use."""

import functools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from exporter.web.html_pages import HtmlPages
from tests.support.paths import FIXTURES
from tests.support.processes import peers_found, program
from tests.support.virtual_time import VirtualTimeLoop
from tests.support.warm_command import close_warm_command

_REAL = Path(__file__).parent / "real"


def pytest_configure() -> None:
    """Prepare for any shell and any machine."""
    # a shell's background jobs ignore SIGINT, and those of nohup SIGHUP, and so would the processes
    # that tests interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # nothing is asked on the Internet, and to load a hundred authorities takes as long as ten polls
    os.environ["SSL_CERT_FILE"] = str(FIXTURES / "authority.pem")
    # an example that takes long says nothing on a busy machine
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: tests of real processes mostly wait, so more workers than cores save time."""
    return 3 * (os.cpu_count() or 2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in tests/real/ are marked `real`, and run first: they take longest.

    Those of promtool's verdict are marked `peers`, as are the modules that start Prometheus.
    """
    for item in items:
        if "promtool" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.peers)
        if _REAL in item.path.parents:
            item.add_marker(pytest.mark.real)
    items.sort(
        key=lambda item: (_REAL not in item.path.parents, not item.get_closest_marker("real"))
    )


def pytest_sessionfinish() -> None:
    """Leave no process behind."""
    close_warm_command()


def pytest_report_header() -> list[str]:
    """The versions of the programs that `make peers` tests against."""
    return [f"peers: {peers_found()}"] if "PEERS" in os.environ else []


@pytest.fixture(scope="session", autouse=True)
def _templates_are_compiled_once() -> Iterator[None]:
    """They are the same for every application that tests make, and take 0.1 s to compile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.web.app.HtmlPages", functools.cache(HtmlPages))
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The times that a stranger's walks took: properties of their tests, also from workers."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture(scope="session")
def promtool() -> str:
    """The path of promtool."""
    return program("promtool", "prometheus")


@pytest.fixture(scope="module")
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The exporter runs on asyncio alone; modules marked `virtual_time` do not wait."""
    virtual = request.node.get_closest_marker("virtual_time")
    return "asyncio", {"loop_factory": VirtualTimeLoop} if virtual else {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Modules marked `both_loops` run on asyncio and on uvloop: connections fail differently."""
    marked = metafunc.definition.get_closest_marker("both_loops")
    if marked and "anyio_backend" in metafunc.fixturenames:
        loops = [("asyncio", {"use_uvloop": uvloop}) for uvloop in (False, True)]
        metafunc.parametrize("anyio_backend", loops, ids=["asyncio", "uvloop"])
