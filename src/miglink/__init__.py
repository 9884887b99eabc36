"""miglink links administrative records into persons, spells and migration statistics.

`miglink.run("config.yml")` does what the command of that name does and gives the run, opened;
`miglink.open_run(folder)` opens one that is there. Both give the tables as LazyFrames of polars (docs/python.md).
"""

from miglink.opened_run import Frames, Run, open_run, run
from miglink.version import __version__

__all__ = ["Frames", "Run", "__version__", "open_run", "run"]
