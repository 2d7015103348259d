"""A stand-in for systemd-run, systemctl, journalctl, docker and kubectl, by the name it is called.

It does what a command of the runbooks needs of them, in an installed tree whose root is `TREE`:
`systemd-run` passes credentials and binds paths as systemd does, `docker compose run` and
`kubectl exec` run the exporter with the files of their layout, and logs are the file `log`. Every
call is added to the file `calls`. It uses the standard library only, and nothing of this project.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

TREE = Path(os.environ["TREE"])
PROGRAM = TREE / "opt/agent-rest-exporter/bin/agent-rest-exporter"


def run(arguments: list[str], folder: Path, **environ: str) -> int:
    """Run the exporter's command as in a container: in the folder of its configuration."""
    done = subprocess.run(
        [PROGRAM, *arguments], check=False, cwd=folder, env={**os.environ, **environ}
    )
    return done.returncode


def systemd_run(arguments: list[str]) -> int:
    """Run a command as a transient unit, with its credentials and bound paths."""
    place = next(place for place, word in enumerate(arguments) if not word.startswith("--"))
    options = [word.removeprefix("--").partition("=") for word in arguments[:place]]
    (unit,) = (value for name, _, value in options if name == "unit")
    environ = dict(value.split("=", 1) for name, _, value in options if name == "setenv")
    properties = [value.partition("=") for name, _, value in options if name == "property"]
    credentials = TREE / "run/credentials" / f"{unit}.service"
    credentials.mkdir(parents=True)
    made: list[Path] = []
    try:
        for name, _, value in properties:
            first, _, second = value.partition(":")
            if name == "LoadCredential":
                for secret in Path(second).iterdir():
                    shutil.copy(secret, credentials / f"{first}_{secret.name}")
            elif name == "BindReadOnlyPaths":
                Path(second).symlink_to(first)
                made.append(Path(second))
        return subprocess.run(
            arguments[place:], check=False, cwd="/", env={**os.environ, **environ}
        ).returncode
    finally:
        for path in made:
            path.unlink()
        shutil.rmtree(credentials)


def docker(arguments: list[str]) -> int:
    """`docker compose run` and `docker compose logs`."""
    if "logs" in arguments:
        return logs()
    if "run" in arguments:
        folder = TREE / "compose"
        command = arguments[arguments.index("exporter") + 1 :]
        return run(command, folder, AGENT_REST_EXPORTER_CONFIG_FILE=str(folder / "config.yaml"))
    return 0


def kubectl(arguments: list[str]) -> int:
    """`kubectl exec`, `kubectl debug` and `kubectl logs`."""
    if "--" in arguments:
        return run(arguments[arguments.index("--") + 2 :], TREE / "kubernetes")
    return logs() if "logs" in arguments else 0


def systemctl(arguments: list[str]) -> int:
    """`systemctl show` of the environment, and `systemctl status` from the file `status`."""
    if "show" in arguments:
        sys.stdout.write("PYTHONDONTWRITEBYTECODE=1\n")
    status = TREE / "status"
    if "status" in arguments and status.exists():
        sys.stdout.write(status.read_text(encoding="utf-8"))
        return 3 if "failed" in status.read_text(encoding="utf-8") else 0
    return 0


def logs() -> int:
    """The exporter's log."""
    sys.stdout.write((TREE / "log").read_text(encoding="utf-8"))
    return 0


def main(name: str, arguments: list[str]) -> int:
    """Note the call, and do it."""
    with (TREE / "calls").open("a", encoding="utf-8") as calls:
        calls.write(json.dumps([name, *arguments]) + "\n")
    match name:
        case "systemd-run":
            return systemd_run(arguments)
        case "docker":
            return docker(arguments)
        case "kubectl":
            return kubectl(arguments)
        case "journalctl":
            return logs()
        case "systemctl":
            return systemctl(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[0]).name, sys.argv[1:]))
