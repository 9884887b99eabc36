"""Charts of groups: an age pyramid, bars of countries and of shares, ranges, and a histogram."""

from collections.abc import Sequence

from miglink.stages.publish.report.marks import (
    LETTER,
    WIDTH,
    box,
    count_ticks,
    drawing,
    label,
    legend,
    path,
    rule,
    ticks,
    value_axis,
)
from miglink.stages.publish.report.parts import write

Row = tuple[str, float, float]
# None where the figure is not published.
Pair = tuple[str, float | None, float | None]


def pyramids(sides: Sequence[tuple[str, Sequence[Row]]], title: str, text: str) -> str:
    """A pyramid for each flow, side by side: age groups upwards, males to the left, females to the right."""
    most = max((max(left, right) for _, rows in sides for _, left, right in rows), default=1)
    (*_, end) = count_ticks(0, most, 2)
    pieces: list[str] = []
    wide, high = WIDTH / max(len(sides), 1), 15.0
    bottom = 40.0
    for nth, (name, rows) in enumerate(sides):
        start, half = wide * nth + 14, (wide - 80) / 2
        axis = start + half, start + half + 52
        pieces.append(label(start + half + 26, 14, name, "middle", "strong"))
        pieces.append(label(axis[0], 34, "males", "end", "tick"))
        pieces.append(label(axis[1], 34, "females", kind="tick"))
        kind = ("mark-in", "mark-out")[nth % 2]
        for number, (age, left, right) in enumerate(reversed(rows)):
            y = 44 + high * number
            size = (left / end * half, high - 3)
            pieces.append(box(axis[0] - size[0], y, size, kind, f"males {age}: {write(left)}"))
            size = (right / end * half, high - 3)
            pieces.append(box(axis[1], y, size, kind, f"females {age}: {write(right)}"))
            pieces.append(label(start + half + 26, y + 10, age, "middle", "tick"))
        bottom = 44 + high * len(rows)
        pieces += [rule((x, x), (42, bottom), "zero") for x in axis]
        for value, anchor in ((0.0, ""), (end, "middle")):
            said = write(value)
            pieces.append(
                label(axis[0] - value / end * half, bottom + 15, said, "middle" if anchor else "end", "tick")
            )
            pieces.append(label(axis[1] + value / end * half, bottom + 15, said, anchor or "start", "tick"))
    return drawing(bottom + 24, title, text, pieces)


def paired_bars(rows: Sequence[Pair], names: tuple[str, str], title: str, text: str) -> str:
    """Two bars for each row, one below the other, with their numbers at the end: immigration, then emigration."""
    left = min(max((len(name) for name, *_ in rows), default=0) * LETTER + 10, 230)
    most = max((value or 0 for _, *values in rows for value in values), default=1) or 1
    scale = (WIDTH - left - 60) / most
    pieces, y = legend([("mark-in", names[0]), ("mark-out", names[1])], 14)
    y += 12
    for name, one, two in rows:
        pieces.append(label(left - 8, y + 17, _cut(name, left), "end"))
        for at, value, kind, what in ((y, one, "in", names[0]), (y + 12, two, "out", names[1])):
            pieces.append(
                box(left, at, ((value or 0) * scale, 10), f"mark-{kind}", f"{name}, {what}: {write(value)}")
            )
            pieces.append(label(left + (value or 0) * scale + 5, at + 9, write(value), kind="tick"))
        y += 32
    pieces.append(rule((left, left), (34, y - 6), "zero"))
    return drawing(y, title, text, pieces)


def shares(rows: Sequence[tuple[str, float]], title: str, text: str) -> str:
    """A bar for each share, with its number at the end."""
    left = min(max((len(name) for name, _ in rows), default=0) * LETTER + 10, 230)
    scale = (WIDTH - left - 70) / (max((value for _, value in rows), default=1) or 1)
    pieces, y = [], 6.0
    for name, value in rows:
        pieces.append(label(left - 8, y + 12, _cut(name, left), "end"))
        pieces.append(box(left, y, (value * scale, 15), "mark-other", f"{name}: {write(value, 'share')}"))
        pieces.append(label(left + value * scale + 5, y + 12, write(value, "share"), kind="tick"))
        y += 22
    pieces.append(rule((left, left), (2, y - 3), "zero"))
    return drawing(y + 2, title, text, pieces)


def ranges(
    panels: Sequence[tuple[str, Sequence[tuple[str, float, float, float]]]], kind: str, title: str, text: str
) -> str:
    """A point and a line from least to most for each row; panels one below the other, each with an axis of its own."""
    pieces: list[str] = []
    longest = max((len(name) for _, rows in panels for name, *_ in rows), default=0)
    left, y = min(longest * LETTER + 14, 240), 0.0
    for nth, (name, rows) in enumerate(panels):
        values = ticks(min(0.0, *(r[2] for r in rows)), max(1e-9, *(r[3] for r in rows)))
        top = y + 26

        def x_of(value: float, values: Sequence[float] = tuple(values)) -> float:
            return left + (value - values[0]) / (values[-1] - values[0]) * (WIDTH - 24 - left)

        bottom = top + 20 * len(rows) + 4
        pieces.append(label(left, y + 14, name, kind="strong"))
        for value in values:
            x = x_of(value)
            pieces.append(rule((x, x), (top, bottom), "zero" if value == 0 else "grid"))
            pieces.append(label(x, bottom + 15, write(value, kind), "middle", "tick"))
        for number, (row, point, least, most) in enumerate(rows):
            at = top + 14 + 20 * number
            pieces.append(label(left - 10, at + 4, _cut(row, left), "end"))
            pieces.append(rule((x_of(least), x_of(most)), (at, at), "line-interval"))
            mark = ("mark-in", "mark-out", "mark-text")[nth % 3]
            said = f"{row}: {write(point, kind)}, {write(least, kind)} to {write(most, kind)}"
            pieces.append(box(x_of(point) - 4, at - 4, (8, 8), mark, said))
        y = bottom + 24
    return drawing(y, title, text, pieces)


def histogram(bands: Sequence[tuple[int, float, float]], width: int, title: str, text: str) -> str:
    """Bars side by side over a scale: the part accepted filled, the rest hatched."""
    values = count_ticks(0, max((whole for _, whole, _ in bands), default=1))
    first, last = min(b[0] for b in bands), max(b[0] for b in bands) + width
    pieces, y = legend([("mark-in", "accepted"), ("mark-hatched", "not accepted")], 14)
    left, top, bottom = 64.0, y + 18, y + 198

    def x_of(value: float) -> float:
        return left + (value - first) / (last - first) * (WIDTH - 20 - left)

    def y_of(value: float) -> float:
        return bottom - value / values[-1] * (bottom - top)

    pieces += value_axis(values, [y_of(value) for value in values], (left, WIDTH - 20))
    for start, whole, accepted in bands:
        x, wide = x_of(start) + 1, x_of(start + width) - x_of(start) - 2
        said = f"{write(start)} to {write(start + width)}: {write(whole)}, accepted {write(accepted)}"
        pieces.append(box(x, y_of(accepted), (wide, bottom - y_of(accepted)), "mark-in", said))
        rest = y_of(accepted) - y_of(whole)
        pieces.append(box(x, y_of(whole), (wide, rest), "mark-hatched edge-text", said))
    marks = [tick for tick in ticks(first, last, 8) if first <= tick <= last]
    pieces += [label(x_of(tick), bottom + 17, write(tick), "middle", "tick") for tick in marks]
    pieces.append(label((left + WIDTH) / 2, bottom + 36, "match weight (log₂ of the odds)", "middle"))
    return drawing(bottom + 44, title, text, pieces)


def agreement(points: Sequence[tuple[float, float, float, float, str]], title: str, text: str) -> str:
    """Observed against expected shares, with limits, beside the line on which they are the same."""
    left, top, size = 150.0, 8.0, 300.0

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x * size, top + (1 - y) * size

    pieces = []
    for tick in (0, 0.25, 0.5, 0.75, 1.0):
        (x, y) = place(tick, tick)
        pieces += [
            rule((left, left + size), (y, y)),
            rule((x, x), (top, top + size)),
            label(left - 6, y + 4, write(tick, "share"), "end", "tick"),
            label(x, top + size + 16, write(tick, "share"), "middle", "tick"),
        ]
    pieces.append(path([place(0, 0), place(1, 1)], "line-dashed"))
    for expected, observed, low, high, said in points:
        (x, y) = place(expected, observed)
        pieces.append(rule((x, x), (place(0, low)[1], place(0, high)[1]), "line-interval"))
        pieces.append(box(x - 4, y - 4, (8, 8), "mark-in", said))
    pieces.append(label(left + size / 2, top + size + 36, "expected share of matches", "middle"))
    pieces.append(label(left - 62, top + size / 2 - 8, "observed", "end"))
    pieces.append(label(left - 62, top + size / 2 + 8, "share", "end"))
    return drawing(top + size + 44, title, text, pieces)


def _cut(name: str, room: float) -> str:
    """A name as long as there is room; the whole of it stands in the table."""
    most = int((room - 10) / LETTER)
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"
