"""What a check finds: plain, frozen rows of facts, the same for the terminal and for programs."""

import json
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class MissingColumn:
    """A column that the configuration names and the files do not have."""

    column: str
    wanted: str
    suggestion: str | None


@dataclass(frozen=True)
class UnknownCodes:
    """Values of a coded column that nothing names; `values` only where they were asked for."""

    column: str
    n_rows: int
    share: float
    place: str
    unmapped: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shares:
    """One count among the rows looked at, and its share of them."""

    name: str
    n_rows: int
    share: float


@dataclass(frozen=True)
class SourceFindings:
    """One source: its files, rows, columns, codes and dates.

    n_rows: rows of the files, control and malformed lines apart; null where they cannot be read.
    n_looked_at: rows that were judged; all of them where is_whole.
    rejected, blank, unreadable: counts among the rows looked at, by reason or by column.
    """

    name: str
    kind: str
    files: tuple[Path, ...] = ()
    n_bytes: int = 0
    n_rows: int | None = None
    n_malformed: int = 0
    n_looked_at: int = 0
    is_whole: bool = True
    columns: tuple[str, ...] = ()
    missing_columns: tuple[MissingColumn, ...] = ()
    unknown_codes: tuple[UnknownCodes, ...] = ()
    rejected: tuple[Shares, ...] = ()
    rejected_share: float | None = None
    max_rejected_share: float = 1.0
    blank: tuple[Shares, ...] = ()
    unreadable: tuple[Shares, ...] = ()
    date_column: str | None = None
    first_date: date | None = None
    last_date: date | None = None
    n_outside: int = 0
    links_on: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PairFindings:
    """The pairs of one blocking rule and the identities in its largest block; no error where all were counted."""

    rule: str
    n_pairs: int
    largest_block: int
    standard_error: float


@dataclass(frozen=True)
class StageCost:
    """What one stage is predicted to take."""

    stage: str
    seconds: float
    peak_memory_bytes: int


@dataclass(frozen=True)
class Cost:
    """The predicted time and memory of the run, and what the prediction rests on."""

    seconds: float
    peak_memory_bytes: int
    memory_limit_bytes: int
    stages: tuple[StageCost, ...]
    measured_on: str
    n_cores: int
    measured_date: str
    measured_rows: tuple[int, int]
    worst_error: float
    was_busy: bool


@dataclass(frozen=True)
class RuleFindings:
    """One usual-residence rule: the days after an event that it waits, the years that would be final, its window."""

    rule: str
    title: str
    follow_up_days: int
    final_years: tuple[int, ...]
    first_observed: date
    last_observed: date


@dataclass(frozen=True)
class Dimension:
    """A dimension of the published tables, and the sources that can fill it with the share of rows that do."""

    name: str
    sources: tuple[Shares, ...]


Effect = Literal["prevents", "setting", "leaves_out", "weakens", "undermines"]


@dataclass(frozen=True)
class Limit:
    """One thing that the sources do not give an output, what it does to it, and what would mend it.

    effect: prevents: there are no figures. setting: the sources could, the configuration does not ask for it.
    leaves_out: figures of some of the persons, days or cells meant. weakens, undermines: the quality of the figures
    (docs/readiness.md).
    """

    effect: Effect
    reason: str
    needs: str


@dataclass(frozen=True)
class Readiness:
    """One output: whether the sources can produce it, at what quality, and what is missing.

    kind: rule: stocks, flows and accounts under a rule of the run; other: what else a run makes; table: a published
    table. group: the rule, or the publisher. quality: of what can be produced; null where nothing can.
    """

    kind: Literal["rule", "other", "table"]
    group: str
    name: str
    title: str
    is_asked: bool
    produced: Literal["yes", "partly", "no"]
    quality: Literal["good", "fair", "poor"] | None
    final_years: tuple[int, ...] = ()
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True)
class Findings:
    """All that a check finds; the run would fail if there is a problem."""

    name: str
    sources: tuple[SourceFindings, ...]
    n_rows: int
    identity_share: float
    n_identities: int | None = None
    comparisons: tuple[str, ...] = ()
    pairs: tuple[PairFindings, ...] = ()
    max_pairs: int | None = None
    cost: Cost | None = None
    rules: tuple[RuleFindings, ...] = ()
    policies: tuple[str, ...] = ()
    coverage: str | None = None
    dimensions: tuple[Dimension, ...] = ()
    readiness: tuple[Readiness, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def is_exact(self) -> bool:
        """Whether every row was read, so that identities and pairs are counted and not predicted."""
        return self.identity_share == 1.0

    @property
    def would_fail(self) -> bool:
        """Whether the run would fail."""
        return bool(self.problems)


def findings_as_json(findings: Findings) -> str:
    """The findings as one JSON object; dates as ISO text, shares from 0 to 1."""
    content = {**asdict(findings), "would_fail": findings.would_fail, "is_exact": findings.is_exact}
    return json.dumps(content, indent=2, ensure_ascii=False, default=str)
