"""The tests of this folder build images and whole systems, so `make test` skips them."""

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip them unless `make image-test` has prepared the machine."""
    if not os.environ.get("SHIPPED"):
        reason = "needs containers: make image-test"
        for item in items:
            if item.path.parent.name == "shipped":
                item.add_marker(pytest.mark.skip(reason=reason))
