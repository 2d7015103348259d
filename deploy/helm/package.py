#!/usr/bin/env python3
"""Package the chart: `.venv/bin/python deploy/helm/package.py [DIRECTORY]`, by default into dist.

Helm replaces the symbolic links to rules and dashboards by their files.
"""

import sys
from pathlib import Path

import helm_python

HELM = Path(__file__).parent
DIST = HELM.parents[1] / "dist"


def main(directory: Path) -> Path:
    """Write the archive and return its path."""
    directory.mkdir(exist_ok=True)
    return Path(helm_python.package(HELM / "agent-rest-exporter", destination=directory))


if __name__ == "__main__":
    sys.stdout.write(f"{main(Path(sys.argv[1]) if sys.argv[1:] else DIST)}\n")
