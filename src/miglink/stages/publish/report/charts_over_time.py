"""Charts over time: bars of years and reference dates, areas of months. What is undetermined is hatched."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from miglink.stages.publish.report.marks import (
    WIDTH,
    box,
    count_ticks,
    diamond,
    drawing,
    label,
    legend,
    path,
    rule,
    value_axis,
)
from miglink.stages.publish.report.parts import write

_LEFT, _RIGHT = 64.0, WIDTH - 4.0


@dataclass(frozen=True)
class Figure:
    """A published figure: settled, undetermined beside it, and its interval and point where there are any.

    less: how much of what is undetermined would lower the figure (of net migration: the emigrations). point: the
    estimate, which counts what is undetermined as well.
    """

    settled: float | None
    undetermined: float | None = 0
    lower: float | None = None
    upper: float | None = None
    point: float | None = None
    less: float = 0

    @property
    def is_estimated(self) -> bool:
        """Whether there is a point with an interval, which stand in the place of what is settled and undetermined."""
        return self.point is not None and self.lower is not None and self.upper is not None

    @property
    def shown(self) -> float | None:
        """The estimate, else what is settled."""
        return self.point if self.is_estimated else self.settled

    @property
    def least(self) -> float | None:
        """The lower bound; without one what is settled, less what is undetermined and would lower it."""
        if self.is_estimated:
            return self.lower
        return None if self.settled is None else self.settled - self.less

    @property
    def most(self) -> float | None:
        """The upper bound; without one what is settled, and what is undetermined and would raise it."""
        if self.is_estimated:
            return self.upper
        return None if self.settled is None else self.settled + (self.undetermined or 0) - self.less


@dataclass(frozen=True)
class Course:
    """Figures over time: periods, which of them are provisional, and series by the class of their colour.

    names: what each series is called. points: the class of a series that is drawn as points, not as bars.
    """

    periods: Sequence[str]
    is_provisional: Sequence[bool]
    series: Mapping[str, Sequence[Figure]]
    names: Mapping[str, str]
    points: str = ""

    @property
    def figures(self) -> list[Figure]:
        """The figures of all series."""
        return [figure for figures in self.series.values() for figure in figures]

    @property
    def has_intervals(self) -> bool:
        """Whether any figure is estimated."""
        return any(figure.is_estimated for figure in self.figures)


def bars_over_time(course: Course, title: str, text: str) -> str:
    """Bars from zero, side by side in each period: settled filled, undetermined hatched upon it.

    Where there is an interval it is a line upon the bar of the estimate.
    """
    low, high = _reach(course)
    values = count_ticks(low, high)
    n_wide = max(len(course.periods), 1)
    step = (_RIGHT - _LEFT) / n_wide
    entries = [(f"mark-{kind}", name) for kind, name in course.names.items()]
    if not all(figure.is_estimated for figure in course.figures):
        entries.append(("mark-hatched", "undetermined"))
    if any(course.is_provisional):
        entries.append(("provisional", "p: provisional"))
    if any(figure.lower is not None for figure in course.figures):
        entries.append(("line-interval", "interval"))
    pieces, top = legend(entries, 14)
    top, bottom = top + 22, top + 242.0
    y_of = _y_of(values, (top, bottom))
    pieces += _provisional(course, (top, bottom), step)
    pieces += value_axis(values, [y_of(value) for value in values], (_LEFT, _RIGHT))
    bars = [kind for kind in course.series if kind != course.points]
    wide = min(step * 0.8 / max(len(bars), 1), 34)
    for number, period in enumerate(course.periods):
        middle = _LEFT + step * (number + 0.5)
        for nth, kind in enumerate(bars):
            x = middle + wide * (nth - len(bars) / 2)
            figure = course.series[kind][number]
            pieces += _bar(figure, (x, wide), kind, y_of, (values[-1], f"{course.names[kind]} {period}"))
        if course.points:
            pieces += _point(course.series[course.points][number], middle, course.points, y_of)
    pieces += _periods(course, bottom + 18, step)
    return drawing(bottom + (40 if any(course.is_provisional) else 26), title, text, pieces)


def areas_over_time(course: Course, title: str, text: str) -> str:
    """One panel for each series, one below the other: the figure as a line, what it may be instead hatched."""
    reaches = {kind: _reach(course, (kind,)) for kind in course.series}
    flows = _reach(course, tuple(kind for kind, (low, _) in reaches.items() if low == 0))
    step = (_RIGHT - _LEFT) / max(len(course.periods), 1)
    said = ("estimate", "interval") if course.has_intervals else ("settled", "undetermined")
    entries = [("mark-text", said[0]), ("mark-hatched", said[1])]
    if any(course.is_provisional):
        entries.append(("provisional", "provisional"))
    pieces, top = legend(entries, 14)
    bottom = top
    for kind, figures in course.series.items():
        # Those from zero upwards share one scale, so that they can be compared.
        is_upward = reaches[kind][0] == 0
        values = count_ticks(*(flows if is_upward else reaches[kind]), 3 if is_upward else 4)
        top = bottom + 34
        bottom = top + (110.0 if is_upward else 150.0)
        pieces += _provisional(course, (top, bottom), step)
        y_of = _y_of(values, (top, bottom))
        pieces += value_axis(values, [y_of(value) for value in values], (_LEFT, _RIGHT))
        pieces.append(label(_LEFT, top - 9, course.names[kind], kind="strong"))
        pieces += _area(figures, kind, y_of, step)
    years = [(n, period[:4]) for n, period in enumerate(course.periods) if _begins_year(course.periods, n)]
    every = max(1, round(len(years) * 40 / (_RIGHT - _LEFT) + 0.5))
    for nth, (number, year) in enumerate(years):
        x = _LEFT + step * number
        pieces.append(rule((x, x), (bottom, bottom + 5), "zero"))
        if nth % every == 0:
            pieces.append(label(x + 2, bottom + 18, year, kind="tick"))
    return drawing(bottom + 26, title, text, pieces)


def _y_of(values: Sequence[float], y: tuple[float, float]) -> Callable[[float], float]:
    """Where a value stands between the top and the bottom of a panel; one beyond its ticks at the edge."""
    (top, bottom), low, high = y, values[0], values[-1]
    return lambda value: bottom - (min(max(value, low), high) - low) / (high - low) * (bottom - top)


def _area(figures: Sequence[Figure], kind: str, y_of: Callable[[float], float], step: float) -> list[str]:
    """The figures as a line upon the area from the least to the most that they may be."""
    drawn = [
        (_LEFT + step * (number + 0.5), y_of(figure.shown), y_of(figure.least), y_of(figure.most))
        for number, figure in enumerate(figures)
        if figure.shown is not None and figure.least is not None and figure.most is not None
    ]
    least, most = [(x, y) for x, _, y, _ in drawn], [(x, y) for x, _, _, y in drawn]
    return [
        path([*least, *reversed(most)], "mark-hatched"),
        path([(x, y) for x, y, *_ in drawn], f"line-{kind}"),
    ]


def _begins_year(periods: Sequence[str], number: int) -> bool:
    return number == 0 or periods[number][:4] != periods[number - 1][:4]


def _reach(course: Course, only: Sequence[str] = ()) -> tuple[float, float]:
    """From where to where an axis must go: what is undetermined of provisional periods does not count, unless all are.

    It can be many times what will settle, and would hide everything else.
    """
    settled, open_ = [0.0], [0.0]
    for kind, figures in course.series.items():
        if only and kind not in only:
            continue
        for figure, is_provisional in zip(figures, course.is_provisional, strict=True):
            settled += [v for v in (figure.shown, figure.lower, figure.upper) if v is not None]
            is_shown = figure.is_estimated or not is_provisional or all(course.is_provisional)
            if figure.least is not None and figure.most is not None and kind != course.points and is_shown:
                open_ += [figure.least, figure.most]
    return min(*settled, *open_), max(*settled, *open_)


def _bar(
    figure: Figure,
    place: tuple[float, float],
    kind: str,
    y_of: Callable[[float], float],
    limit: tuple[float, str],
) -> list[str]:
    """A bar: settled from zero, undetermined upon it; one that is higher than the picture is cut, and says so."""
    (x, wide), (highest, name) = place, limit
    if figure.shown is None or figure.most is None:
        return []
    said = f"{name}: {write(figure.settled)} settled, {write(figure.undetermined)} undetermined"
    if figure.is_estimated:
        said = f"{name}: {write(figure.point)}, {write(figure.lower)} to {write(figure.upper)}"
    y, zero = y_of(figure.shown), y_of(0)
    pieces = [box(x, min(y, zero), (wide, abs(zero - y)), f"mark-{kind}", said)]
    if figure.most > figure.shown and not figure.is_estimated:
        end = y_of(min(figure.most, highest))
        pieces.append(box(x, end, (wide, y - end), f"mark-hatched edge-{kind}", said))
        if figure.most > highest:
            pieces.append(label(x + wide / 2, end - 5, "▲", "middle", "tick"))
    return pieces + _interval(figure, x + wide / 2, y_of)


def _point(figure: Figure, x: float, kind: str, y_of: Callable[[float], float]) -> list[str]:
    if figure.shown is None:
        return []
    return [diamond(x, y_of(figure.shown), f"mark-{kind}"), *_interval(figure, x, y_of)]


def _interval(figure: Figure, x: float, y_of: Callable[[float], float]) -> list[str]:
    """A line from bound to bound."""
    if figure.lower is None or figure.upper is None:
        return []
    return [rule((x, x), (y_of(figure.lower), y_of(figure.upper)), "line-interval")]


def _provisional(course: Course, y: tuple[float, float], step: float) -> list[str]:
    """The ground behind provisional periods."""
    return [
        box(_LEFT + step * number, y[0], (step, y[1] - y[0]), "provisional")
        for number, is_provisional in enumerate(course.is_provisional)
        if is_provisional
    ]


def _periods(course: Course, y: float, step: float) -> list[str]:
    """The names of periods beneath the axis, p beneath those that are provisional; some, where all have no room."""
    longest = max((len(period) for period in course.periods), default=0)
    every = max(1, math.ceil((longest * 7.2 + 4) / step))
    middles = [_LEFT + step * (number + 0.5) for number in range(len(course.periods))]
    named = [
        label(x, y, period, "middle", "tick")
        for n, (x, period) in enumerate(zip(middles, course.periods, strict=True))
        if (len(course.periods) - 1 - n) % every == 0
    ]
    marked = zip(middles, course.is_provisional, strict=True)
    return [*named, *(label(x, y + 14, "p", "middle", "tick") for x, provisional in marked if provisional)]
