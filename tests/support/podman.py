"""Containers for the tests of `make image-test`, which has prepared Podman and the images."""

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.support.paths import ROOT

_Found = TypeVar("_Found")
IMAGE = "localhost/agent-rest-exporter-test"
"""A name of its own: the test of the stack builds one as users do, at the same time."""
SETTINGS = {"CONTAINERS_CONF": str(ROOT / "tests/shipped/containers.conf")}
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
"""How docs/install.md runs the image."""


def podman(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Podman; its complaint is in the error."""
    done = subprocess.run(
        ["podman", *map(str, arguments)],
        capture_output=True,
        check=False,
        env=os.environ | SETTINGS,
        text=True,
    )
    assert done.returncode == 0 or not check, done.stderr
    return done


def inspect(name: str, kind: str = "container") -> Any:
    """What Podman knows about a container or an image."""
    [found] = json.loads(podman(kind, "inspect", name).stdout)
    return found


@dataclass(frozen=True, slots=True)
class Container:
    """A running container of the exporter."""

    name: str

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as its user."""
        return podman("exec", self.name, *command, check=check)

    def get(self, path: str) -> str:
        """A page of the exporter, as the host sees it."""
        return fetch(f"http://{self.address}{path}")

    @property
    def address(self) -> str:
        """Where the host reaches it."""
        return podman("port", self.name, "10072/tcp").stdout.strip()

    def log(self) -> str:
        """Everything that it wrote so far."""
        done = podman("logs", self.name)
        return done.stdout + done.stderr

    def stop(self) -> tuple[int, float]:
        """Stop it as an engine does, SIGTERM first. Returns its exit status and the seconds."""
        start = time.monotonic()
        podman("stop", "--time=30", self.name)
        return inspect(self.name)["State"]["ExitCode"], time.monotonic() - start


@contextlib.contextmanager
def running(*command: str, options: tuple[str | Path, ...] = ()) -> Iterator[Container]:
    """A hardened container of the image, with its port published on 127.0.0.1."""
    name = f"are-{uuid.uuid4().hex[:8]}"
    published = "--publish=127.0.0.1::10072"
    podman("run", "--detach", "--name", name, *HARDENED, published, *options, IMAGE, *command)
    try:
        yield Container(name)
    finally:
        podman("rm", "--force", "--time=2", "--volumes", name)


def fetch(url: str, headers: Mapping[str, str] | None = None) -> str:
    """The body of a reply."""
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310  # our own
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
            body: bytes = reply.read()
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise
    return body.decode()


def wait(what: Callable[[], _Found], patience: float = 60) -> _Found:
    """The first true result. A server that does not answer yet is waited for.

    Args:
        what: looks once.
        patience: seconds.
    """
    end = time.monotonic() + patience
    while True:
        try:
            if found := what():
                return found
            problem: object = "nothing"
        except (OSError, urllib.error.URLError, ValueError) as error:
            problem = error
        assert time.monotonic() < end, f"waited {patience} s, last seen: {problem}"
        time.sleep(0.5)
