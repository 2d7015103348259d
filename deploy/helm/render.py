#!/usr/bin/env python3
"""Render deploy/kubernetes from the chart: `.venv/bin/python deploy/helm/render.py [DIRECTORY]`.

The default directory is deploy/kubernetes, which also holds the values. `make chart` runs it; it
needs Helm, which `make chart` installs.
"""

import re
import sys
from pathlib import Path
from typing import Final

import helm_python
import yaml

CHART: Final = Path(__file__).parent / "agent-rest-exporter"
KUBERNETES: Final = CHART.parents[1] / "kubernetes"
HEADER: Final = "# Rendered from deploy/helm by `make chart`.\n"
# What says that Helm manages an object, with which chart and of which version: kustomization.yaml
# chooses the version.
BY_HELM: Final = re.compile(
    r"(?m)^ +(helm\.sh/chart|app\.kubernetes\.io/(managed-by|version)): .*\n"
)


def rendered() -> dict[str, str]:
    """The text of each manifest by file name."""
    values = yaml.safe_load((KUBERNETES / "values.yaml").read_text(encoding="utf-8"))
    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(values, name="agent-rest-exporter", namespace="agent-rest")
    return {
        Path(name).name: HEADER + BY_HELM.sub("", text.strip() + "\n")
        for name, text in texts.items()
        if name.endswith(".yaml") and text.strip()
    }


def main(directory: Path) -> None:
    """Write one file for each object."""
    for name, text in rendered().items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else KUBERNETES)
