"""Months of the period without any crossing, as far as a check can see them."""

from collections.abc import Mapping, Sequence

from miglink.check.findings import SourceFindings
from miglink.config import Config
from miglink.config.windows import find_windows
from miglink.engine import Engine, Table
from miglink.stages.estimates import find_empty_months
from miglink.stages.publish import month_ranges

# A sample need not hold the first or the last crossing; of a month without any in it, the run will tell.
_MOST_DAYS = 31


def describe_gaps(
    engine: Engine,
    config: Config,
    judged: Mapping[str, Table],
    sources: Sequence[SourceFindings],
    is_exact: bool,
) -> tuple[str, ...]:
    """What the period lacks: its empty months where every row was read, else what lies before and after the sample."""
    crossings = [source for source in sources if source.kind == "crossings"]
    # A source that cannot be read may have the months that the others lack.
    if config.period is None or not crossings or any(source.name not in judged for source in crossings):
        return ()
    observed = find_windows(config).crossings
    if is_exact:
        crossed = engine.step(
            "check_crossed",
            " UNION ALL ".join(
                f"SELECT 'crossings' AS kind, d_crossed_at AS crossed_date FROM crossings_{index} "
                "WHERE reason_rejected IS NULL"
                for index in range(len(crossings))
            ),
            **{f"crossings_{index}": judged[source.name] for index, source in enumerate(crossings)},
        )
        months = [f"{month:%Y-%m}" for month in find_empty_months(engine, crossed, observed)]
        if not months:
            return ()
        return (
            f"No source has any crossing in {month_ranges(months)}: is a file missing, or does `period` go beyond the "
            "data? Figures that rest on such a month will be provisional.",
        )
    firsts = [source.first_date for source in crossings if source.first_date is not None]
    lasts = [source.last_date for source in crossings if source.last_date is not None]
    if not firsts or not lasts:
        return ()
    if (min(firsts) - observed.from_date).days <= _MOST_DAYS and (
        observed.to_date - max(lasts)
    ).days <= _MOST_DAYS:
        return ()
    stated = "`period` is" if observed == config.period else "`covers` and `period` say"
    return (
        f"The crossings looked at are of {min(firsts)} to {max(lasts)}, but {stated} {observed.from_date} to "
        f"{observed.to_date}: is a file missing, or does `period` go beyond the data?",
    )
