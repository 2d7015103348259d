"""What happens where a program that tests need is not installed."""

import pytest

from tests.support.processes import program


def test_a_missing_program_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise CI would stay green without having tested anything."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception) as failed:
        program("no-such-program", "nothing")
    assert str(failed.value) == (
        "no-such-program is not on the PATH: install the Debian package nothing"
    )


def test_a_missing_program_skips_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer without the package can run the rest, and sees what is missing."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="install the Debian package nothing"):
        program("no-such-program", "nothing")
