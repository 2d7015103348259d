"""`make release-check`: builds a release into build/release and checks all that needs no forge.

Without a tag it rehearses: changes may still be under *Unreleased*. With `--tag v0.2.0`, which the
release workflow passes, the version, the changelog's entry and the tag must agree.

Everything is built twice, from two fresh clones in different folders, time zones and umasks, and
must come out the same to the byte. Only what is committed gets in.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

NAME: Final = "agent-rest-exporter"
ROOT: Final = Path(__file__).resolve().parents[1]
OUT: Final = ROOT / "build" / "release"
BIN: Final = Path(sys.executable).parent
FORGE: Final = (
    "attestations of origin, signed with the workflow's identity",
    "the images for amd64 and arm64, their common name, and their attestation",
    "trusted publishing to PyPI, and whether PyPI's publisher is set up for it",
    "the chart in the registry, the release's page, the site's address",
    "the runner: which programs Ubuntu 24.04 there has, and how long the jobs take",
    "zizmor's online audits: known vulnerabilities and impostor commits of the actions",
)
"""What only the forge can do, and so is not checked here."""
LICENCES: Final = {"httpx-aiohttp": "BSD-3-Clause", "Jinja2": "BSD-3-Clause"}
"""Of packages whose metadata have the licence's text, or a vague name, in place of SPDX's."""


class ReleaseError(Exception):
    """Why there can be no release: a sentence with its remedy."""


def version() -> str:
    """The version, from the one place where it is written."""
    text = (ROOT / "exporter" / "__init__.py").read_text(encoding="utf-8")
    if not (found := re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)):
        raise ReleaseError("exporter/__init__.py: no __version__ = …; write the version there")
    return found[1]


def notes(changelog: str, wanted: str, *, rehearsal: bool) -> str:
    """The changelog's section of a version; a rehearsal takes *Unreleased* if there is none yet."""
    parts = re.split(r"^## \[([^\]]+)\](.*)$", changelog, flags=re.MULTILINE)
    sections = {
        name: (rest, text.strip())
        for name, rest, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    }
    if rehearsal and wanted not in sections:
        wanted = "Unreleased"
    date, text = sections.get(wanted, ("", ""))
    if not text:
        raise ReleaseError(f"CHANGELOG.md: nothing under ## [{wanted}]; say what users will notice")
    if not rehearsal and not re.fullmatch(r" - \d{4}-\d\d-\d\d", date):
        raise ReleaseError(f"CHANGELOG.md: write the date: ## [{wanted}] - YYYY-MM-DD")
    return text + "\n"


def check_words(tag: str | None) -> str:
    """That tag, changelog, upgrade notes and chart agree with the version."""
    now = version()
    if tag is not None and tag != f"v{now}":
        raise ReleaseError(f"the tag is {tag}, and the version is {now}: tag v{now}")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (OUT / "NOTES.md").write_text(notes(changelog, now, rehearsal=tag is None), encoding="utf-8")
    if f"\n## {now}\n" not in (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8"):
        raise ReleaseError(f"docs/upgrading.md: no section ## {now}; say what to do, or nothing")
    chart = (ROOT / "deploy" / "helm" / NAME / "Chart.yaml").read_text(encoding="utf-8")
    for key in ("version", "appVersion"):
        if not re.search(rf'^{key}: "?{re.escape(now)}"?$', chart, re.MULTILINE):
            raise ReleaseError(f"Chart.yaml: {key} is not {now}; run make chart")
    return f"{now} in the package, the chart, the changelog and the upgrade notes"


def run(command: Sequence[str | Path], cwd: Path = ROOT, **variables: str) -> str:
    """Run a program and return what it printed."""
    done = subprocess.run(  # noqa: S603  # each is named here
        [str(word) for word in command],
        cwd=cwd,
        env=os.environ | variables,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise ReleaseError(f"{' '.join(map(str, command))} failed:\n{done.stdout}")
    return done.stdout


def clone(folder: Path) -> str:
    """A clone of the commit that is checked out. Returns the commit's time."""
    if changed := run(["git", "status", "--porcelain"]):
        raise ReleaseError(f"commit these first, a release contains only commits:\n{changed}")
    run(["git", "clone", "--quiet", "--no-local", ROOT, folder])
    run(["git", "checkout", "--quiet", run(["git", "rev-parse", "HEAD"]).strip()], folder)
    return run(["git", "log", "-1", "--format=%ct"]).strip()


def build(folder: Path, umask: int, zone: str) -> dict[str, str]:
    """Build sdist and wheel in a new clone. Returns their hashes by name."""
    before = os.umask(umask)
    try:
        moment = clone(folder)
        command = ["-m", "build", "--no-isolation", "--outdir", "../built", "."]
        run([BIN / "python", *command], folder, SOURCE_DATE_EPOCH=moment, TZ=zone)
    finally:
        os.umask(before)
    return hashes(folder.parent / "built")


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a folder."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


def check_builds(scratch: Path) -> str:
    """That sdist and wheel are the same twice, and what a package index accepts."""
    first = build(scratch / "one" / "tree", 0o022, "UTC")
    second = build(scratch / "the-other" / "a-longer-name", 0o027, "Asia/Kathmandu")
    if differ := [name for name in first if first[name] != second.get(name)]:
        raise ReleaseError(f"not the same when built twice: {', '.join(differ)}")
    files = sorted((scratch / "one" / "built").iterdir())
    run([BIN / "twine", "check", "--strict", *files])
    run([BIN / "check-wheel-contents", *(path for path in files if path.suffix == ".whl")])
    for path in files:
        shutil.copy2(path, OUT)
    return "the same bytes twice, and accepted: " + sizes(OUT / path.name for path in files)


def sizes(paths: Iterable[Path]) -> str:
    """Files with their sizes."""
    return ", ".join(f"{path.name} ({path.stat().st_size / 1000:.0f} kB)" for path in paths)


def check_installation(scratch: Path) -> str:
    """That the wheel runs with just the locked dependencies; and a bill of materials of these."""
    wheel = next(OUT.glob("*.whl"), None)
    if not wheel:
        raise ReleaseError("there is no wheel to install")
    place = scratch / "installed"
    venv.create(place)  # without pip, which is not part of the exporter
    python = place / "bin" / "python"
    pip = [str(BIN / "pip"), "--python", str(python), "install", "--quiet"]
    run([*pip, "--require-hashes", "-r", ROOT / "requirements.lock"])
    run([*pip, "--no-deps", wheel])
    printed = run([place / "bin" / NAME, "--version"]).strip()
    if version() not in printed.split():
        raise ReleaseError(f"{wheel.name} says that it is {printed!r}, not {version()}")
    bill = OUT / f"{NAME}-{version()}.cdx.json"
    command = [str(BIN / "cyclonedx-py"), "environment", "--output-reproducible", "--pyproject"]
    run([*command, ROOT / "pyproject.toml", "--output-file", bill, python])
    content = json.loads(bill.read_text(encoding="utf-8"))
    # pyproject.toml does not have the version
    about = {"version": version(), "purl": f"pkg:pypi/{NAME}@{version()}"}
    content["metadata"]["component"] |= about
    components = content["components"]
    for part in components:
        if part["name"] in LICENCES:
            part["licenses"] = [{"license": {"id": LICENCES[part["name"]]}}]
    bill.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if unlicensed := [part["name"] for part in components if not part.get("licenses")]:
        raise ReleaseError(f"{bill.name}: no licence is known of {', '.join(unlicensed)}")
    return f"{printed} runs; {bill.name} lists {len(components)} packages with their licences"


def check_workflows(_: Path) -> str:
    """That the workflows are valid, and each action is pinned by the digest of a commit."""
    folder = ROOT / ".github" / "workflows"
    files = sorted(folder.glob("*.yml"))
    uses = [line for path in files for line in re.findall(r"uses: (.+)", path.read_text("utf-8"))]
    if loose := [use for use in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", use)]:
        raise ReleaseError(f"pin these by digest, with the version behind it: {', '.join(loose)}")
    run([BIN / "actionlint", *files])
    run([BIN / "zizmor", "--offline", "--pedantic", "--no-progress", ROOT / ".github"])
    return f"{len(files)} workflows pass actionlint and zizmor; {len(uses)} actions are pinned"


def check_chart(_: Path) -> str:
    """The chart, packaged; what `make chart` generates is committed."""
    run(["make", "chart"])
    if changed := run(["git", "status", "--porcelain"]):
        raise ReleaseError(f"make chart changed files that are committed; commit:\n{changed}")
    archive = ROOT / "dist" / f"{NAME}-{version()}.tgz"
    shutil.copy2(archive, OUT)
    return sizes([archive])


def check_deb(given: str | None) -> str:
    """The Debian package: the one that was built elsewhere, or a new one for this machine."""
    package = Path(given or run(["make", "--silent", "deb"]).split()[-1])
    name, number, architecture = (
        run(["dpkg-deb", "--field", package, field]).strip()
        for field in ("Package", "Version", "Architecture")
    )
    if (name, number.rpartition("-")[0]) != (NAME, version()):
        raise ReleaseError(f"{package.name} is {name} {number}, not {NAME} {version()}")
    shutil.copy2(package, OUT)
    return f"{number} for {architecture}: {sizes([package])}"


def checks(tag: str | None, deb: str | None) -> dict[str, Callable[[Path], str]]:
    """Every check by its name. Each gets a directory for its own use, and returns what is fine."""
    return {
        "words": lambda _: check_words(tag),
        "builds": check_builds,
        "installation": check_installation,
        "chart": check_chart,
        "deb": lambda _: check_deb(deb),
        "workflows": check_workflows,
    }


def main() -> int:
    """Run every check, also after one that failed; the exit status is 1 if any did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tag", help="the tag of the release; without it, a rehearsal")
    parser.add_argument("--deb", help="a Debian package that was built elsewhere")
    options = parser.parse_args()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, check in checks(options.tag or None, options.deb or None).items():
            start = time.monotonic()
            try:
                result = check(Path(scratch))
            except ReleaseError as error:
                result = f"FAILED: {error}"
                failed.append(name)
            sys.stdout.write(f"{name} ({time.monotonic() - start:.0f} s): {result}\n")
            sys.stdout.flush()
    if failed:
        sys.stdout.write(f"No release: {', '.join(failed)} failed.\n")
        return 1
    sums = {name: digest for name, digest in hashes(OUT).items() if name != "NOTES.md"}
    lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    (OUT / "SHA256SUMS").write_text(lines, encoding="utf-8")
    sys.stdout.write(f"build/release has {len(sums)} files and SHA256SUMS.\n")
    sys.stdout.write("Only the forge can do, and so is not checked:\n")
    sys.stdout.writelines(f"  - {what}\n" for what in FORGE)
    if output := os.environ.get("GITHUB_OUTPUT"):
        with Path(output).open("a", encoding="utf-8") as file:
            file.write(f"version={version()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
