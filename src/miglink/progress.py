"""Progress on standard error: a live line in a terminal, one plain or JSON line for each stage elsewhere."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Literal, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

LogFormat = Literal["text", "json"]
# Share of a run's time, as measured on the synthetic country of 200,000 persons (benchmarks/results); a guide only.
_SHARES = {
    "ingest": 0.21,
    "identities": 0.06,
    "linkage": 0.31,
    "persons": 0.12,
    "spells": 0.07,
    "residence": 0.13,
    "estimates": 0.04,
    "quality": 0.01,
    "publish": 0.05,
}
_UNKNOWN_SHARE = 0.1


class Progress:
    """Says which stage is running, what share of the work is done, rows a second and about how long it will take.

    The time left is the time so far, scaled by the usual shares of the stages: known after the first stage.
    """

    def __init__(
        self,
        log_format: LogFormat = "text",
        stream: TextIO | None = None,
        shares: Mapping[str, float] = _SHARES,
    ) -> None:
        self._stream = stream or sys.stderr
        self._log_format = log_format
        self._shares = shares
        self._left: list[str] = []
        self._weights: dict[str, float] = {}
        self._started: float | None = None
        self._begun: tuple[str, float] | None = None
        self._done = 0.0
        self._bar: Bar | None = None
        self._task = TaskID(0)
        if log_format == "text" and self._stream.isatty():
            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                _Share(self),
                TimeElapsedColumn(),
                console=Console(file=self._stream),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=1.0)

    def start(self, stages: Sequence[str]) -> None:
        """These stages are to be done."""
        self._left = list(stages)
        self._weights = {stage: self._shares.get(stage, _UNKNOWN_SHARE) for stage in stages}

    def resume(self, first: str | None, why: str, taken_over: Sequence[str]) -> None:
        """A run goes on from this stage; None: all that is asked for is done."""
        if self._log_format == "json":
            self._say(json.dumps({"event": "run resumed", "first": first, "why": why}))
        elif first is None:
            self._say("nothing to do: every stage asked for is done, and its files are as they were written")
        else:
            over = f"; taken over: {', '.join(taken_over)}" if taken_over else ""
            self._say(f"going on with {first}: {why}{over}")

    def begin(self, stage: str) -> None:
        """A stage begins."""
        now = time.monotonic()
        self._started = self._started or now
        self._begun = (stage, now)
        if self._bar is not None:
            self._bar.update(self._task, description=stage)

    def end(self, stage: str, rows: int, seconds: float) -> None:
        """A stage is done."""
        self._begun = None
        self._left = [other for other in self._left if other != stage]
        self._done = 1 - sum(self._weights[other] for other in self._left) / sum(self._weights.values())
        n, n_done = len(self._weights), len(self._weights) - len(self._left)
        rate = rows / seconds if seconds else 0.0
        left = self.seconds_left()
        if self._log_format == "json":
            said = {"event": "stage finished", "stage": stage, "done": n_done, "of": n, "rows": rows,
                    "seconds": seconds, "rows_per_second": round(rate), "share_done": round(self._done, 2),
                    "seconds_left": left}  # fmt: skip
            self._say(json.dumps(said))
        else:
            remaining = f"  about {_duration(left)} left" if left else ""
            self._say(
                f"{n_done}/{n} {stage:<11}{rows:>13,} rows{seconds:>8.1f} s{rate:>12,.0f} rows/s"
                f"{self._done:>6.0%}{remaining}"
            )
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)

    def share_done(self) -> float:
        """The share of the work done, the running stage by its usual length; never quite the whole of it."""
        if self._begun is None or not self._done or self._started is None:
            return self._done
        (stage, begun), now = self._begun, time.monotonic()
        usual = (begun - self._started) / self._done * self._weights[stage] / sum(self._weights.values())
        part = min((now - begun) / usual, 0.95) if usual else 0.0
        return self._done + part * self._weights[stage] / sum(self._weights.values())

    def seconds_left(self) -> int | None:
        """About how many seconds the rest will take; None while nothing is known of it."""
        share = self.share_done()
        if self._started is None or not share:
            return None
        return round((time.monotonic() - self._started) * (1 - share) / share)

    def close(self) -> None:
        """The run is over, one way or the other."""
        if self._bar is not None:
            self._bar.stop()

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=self._stream, flush=True)


class _Share(ProgressColumn):
    """The share of the work that is done, and the time left."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def render(self, task: Task) -> Text:
        """What stands behind the bar; moves it on, too."""
        share, left = self._progress.share_done(), self._progress.seconds_left()
        task.completed = share
        return Text(f"{share:>4.0%}" + (f", about {_duration(left)} left" if left else ""))


def _duration(seconds: int | None) -> str:
    """45 s, 3 min, 2.5 h."""
    if seconds is None or seconds < 90:
        return f"{seconds or 0} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
