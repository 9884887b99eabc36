"""Runs the command line: `python -m miglink`."""

import sys

from miglink.cli import main

sys.exit(main())
