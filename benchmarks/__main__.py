"""`python -m benchmarks`: every figure, the table and the plots."""

import argparse
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks import lives, plots, polling, report, scraping
from benchmarks.figures import QUICK, Curve, Effort, Figure
from benchmarks.peer import Peer, answering
from benchmarks.processes import ROOT, BenchmarkError

_DIRECTORY = ROOT / "docs" / "benchmarks"
_PARTS = ("poll", "scrape", "held", "life", "sizes", "rows")
_INTRODUCTION = """\
# Measured

Written by `make bench`.

"""


def main() -> int:
    """Measure, print the table, and write it unless the run is a part or a quick one."""
    arguments = _arguments()
    nginx, blackbox = _program("nginx", "nginx-light"), None
    if nginx is None:
        return 1
    blackbox = _program("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
    effort = QUICK if arguments.quick else Effort()
    if arguments.minutes is not None:
        effort = replace(effort, minutes=arguments.minutes)
    chosen = arguments.only or _PARTS
    try:
        with answering(nginx) as peer:
            results, curves = _measure(chosen, peer, effort, blackbox)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    text = f"{report.machine()}\n\n{report.table(results)}"
    print(text)
    if not arguments.quick and not arguments.only:
        _DIRECTORY.mkdir(parents=True, exist_ok=True)
        (_DIRECTORY / "results.md").write_text(_INTRODUCTION + text, encoding="utf-8")
        plots.draw(_DIRECTORY, curves["sizes"], curves["scrape"])
    return 0


def _measure(
    chosen: tuple[str, ...], peer: Peer, effort: Effort, blackbox: str | None
) -> tuple[list[Figure], dict[str, Curve]]:
    results: list[Figure] = []
    curves: dict[str, Curve] = {}
    for part in _PARTS:
        if part not in chosen:
            continue
        begun = time.monotonic()
        print(f"{part} ...", end="", file=sys.stderr, flush=True)
        match part:
            case "poll":
                results += polling.poll_cpu(peer, effort, blackbox)
            case "scrape":
                found, curves[part] = scraping.scrape(effort)
                results += found
            case "held":
                results += scraping.held(peer, effort)
            case "life":
                results += lives.life(peer, effort)
            case "sizes":
                found, curves[part] = lives.sizes(peer, effort)
                results += found
            case "rows":
                results += polling.rows(peer, effort)
        print(f" {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return results, curves


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("make bench ARGS=...", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rough run; writes nothing")
    parser.add_argument(
        "--minutes", type=float, help="for which memory is watched (1; an hour is 60)"
    )
    parser.add_argument(
        "--only", nargs="+", choices=_PARTS, help="these figures alone; writes nothing"
    )
    return parser.parse_args()


def _program(name: str, package: str) -> str | None:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        print(f"benchmarks: {name} is missing: apt-get install {package}", file=sys.stderr)
    return found if found is None else str(Path(found))


if __name__ == "__main__":
    sys.exit(main())
