#!/usr/bin/env python3
"""Write the dashboards: `.venv/bin/python deploy/grafana/generate.py [DIRECTORY]`.

The default directory is that of this file, which holds the committed dashboards.
"""

import json
import sys
from pathlib import Path

from generator import exporter, floor
from grafana_foundation_sdk.cog.encoder import JSONEncoder


def main(directory: Path) -> None:
    """Write one file for each dashboard, named after its uid."""
    for dashboard in (floor(), exporter()):
        text = json.dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False)
        (directory / f"{dashboard.uid}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent)
