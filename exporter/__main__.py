"""`python -m exporter` is the command `agent-rest-exporter`."""

import sys

from exporter.cli import main

sys.exit(main())
