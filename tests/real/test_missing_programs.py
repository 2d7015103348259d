"""What happens where a program that tests need is not installed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import optional_program, program


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
    monkeypatch.delenv("PEERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="install the Debian package nothing"):
        program("no-such-program", "nothing")


def test_an_optional_program_skips_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """CI does not install VictoriaMetrics."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv("PEERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"see `make peers` in CONTRIBUTING\.md"):
        optional_program("no-such-program", "nothing")


@pytest.mark.parametrize("find", [program, optional_program])
@pytest.mark.parametrize("folder", [".", "usr/bin"])
def test_peers_are_found_before_installed_programs(
    folder: str,
    find: Callable[[str, str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the folder itself or where Debian's packages have them; what is missing must not hide."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PEERS", str(tmp_path))
    shell = find("sh", "dash")
    place = tmp_path / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "sh").symlink_to(shell)
    assert Path(find("sh", "dash")) == place / "sh"
    with pytest.raises(pytest.fail.Exception, match="install the Debian package nothing"):
        find("no-such-program", "nothing")
