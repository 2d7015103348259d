"""Real peers that tests are held against: programs of the Debian packages.

A machine without one skips the tests that need it and says why; in CI a missing one is a failure.
A test module takes a fixture over by name: `promtool = real_parts.promtool`.
"""

import os
import shutil

import pytest


def real_part(name: str, package: str) -> str:
    """The path of the program `name`, which the Debian package `package` installs."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not on the PATH: install the Debian package {package}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def promtool() -> str:
    """The path of promtool."""
    return real_part("promtool", "prometheus")
