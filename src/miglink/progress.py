"""Progress on standard error: a live line in a terminal, one plain or JSON line for each stage elsewhere."""

import json
import sys
from typing import Literal, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

LogFormat = Literal["text", "json"]


class Progress:
    """Says which stage of how many is running and what the finished ones took."""

    def __init__(self, n_stages: int, log_format: LogFormat = "text", stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._log_format = log_format
        self._n_stages = n_stages
        self._n_done = 0
        self._bar: Bar | None = None
        self._task = TaskID(0)
        if log_format == "text" and self._stream.isatty():
            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=Console(file=self._stream),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=n_stages)

    def begin(self, stage: str) -> None:
        """A stage begins."""
        if self._bar is not None:
            self._bar.update(self._task, description=stage)

    def end(self, stage: str, rows: int, seconds: float) -> None:
        """A stage is done."""
        self._n_done += 1
        if self._log_format == "json":
            done = {"event": "stage finished", "stage": stage, "done": self._n_done, "of": self._n_stages}
            self._say(json.dumps({**done, "rows": rows, "seconds": seconds}))
        else:
            self._say(f"{self._n_done}/{self._n_stages} {stage:<12} {rows:>12,} rows {seconds:>9.1f} s")
        if self._bar is not None:
            self._bar.advance(self._task)

    def close(self) -> None:
        """The run is over, one way or the other."""
        if self._bar is not None:
            self._bar.stop()

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=self._stream, flush=True)
