"""Pieces of drawings in SVG: axes, texts and shapes. Colours and patterns are classes of the style sheet."""

import html
import math
from collections.abc import Sequence

from miglink.stages.publish.report.parts import write

WIDTH = 600
# Of the letters of the usual sans-serif at 13 px, so that texts do not run into each other.
LETTER = 6.9


def drawing(height: float, title: str, text: str, pieces: Sequence[str]) -> str:
    """A picture with its name and its description in words, for who does not see it."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {at(height)}" role="img"><title>{html.escape(title)}</title>'
        f"<desc>{html.escape(text)}</desc>{''.join(pieces)}</svg>"
    )


def at(number: float) -> str:
    """A coordinate with one decimal at most."""
    return f"{number:.1f}".removesuffix(".0").replace("-0", "0") if number else "0"


def box(x: float, y: float, size: tuple[float, float], kind: str, said: str = "") -> str:
    """A rectangle, of which a mouse tells what it says."""
    width, height = size
    inner = f"><title>{html.escape(said)}</title></rect>" if said else "/>"
    return (
        f'<rect class="{kind}" x="{at(x)}" y="{at(y)}" width="{at(max(width, 0))}" '
        f'height="{at(max(height, 0))}"{inner}'
    )


def rule(x: tuple[float, float], y: tuple[float, float], kind: str = "grid") -> str:
    """A straight line."""
    return f'<line class="{kind}" x1="{at(x[0])}" y1="{at(y[0])}" x2="{at(x[1])}" y2="{at(y[1])}"/>'


def label(x: float, y: float, said: str, anchor: str = "start", kind: str = "") -> str:
    """A text that begins, has its middle, or ends at a point."""
    of_kind = f' class="{kind}"' if kind else ""
    aligned = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text{of_kind} x="{at(x)}" y="{at(y)}"{aligned}>{html.escape(said)}</text>'


def path(points: Sequence[tuple[float, float]], kind: str) -> str:
    """A line through points, or an area where the class fills it."""
    steps = "L".join(f"{at(x)} {at(y)}" for x, y in points)
    return f'<path class="{kind}" d="M{steps}"/>' if points else ""


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from at most `low` to at least `high`.

    >>> ticks(0, 87), ticks(-12, 130)
    ([0.0, 20.0, 40.0, 60.0, 80.0, 100.0], [-50.0, 0.0, 50.0, 100.0, 150.0])
    """
    if not high > low:
        high = low + 1
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def count_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Ticks of counts, which are whole."""
    return [tick for tick in ticks(low, max(high, 1), most) if tick == round(tick)]


def legend(entries: Sequence[tuple[str, str]], y: float, x: float = 0) -> tuple[list[str], float]:
    """Swatches with their meaning, in lines as wide as the picture; and where they end."""
    pieces, start = [], x
    for kind, said in entries:
        width = 20 + len(said) * LETTER + 14
        if x > start and x + width > WIDTH:
            x, y = start, y + 20
        pieces += [_swatch(kind, x, y), label(x + 20, y, said)]
        x += width
    return pieces, y


def diamond(x: float, y: float, kind: str) -> str:
    """A point that does not pass for the end of a bar."""
    return path([(x - 6, y), (x, y - 6), (x + 6, y), (x, y + 6), (x - 6, y)], kind)


def _swatch(kind: str, x: float, y: float) -> str:
    """A line, a point or an area, as the class is drawn."""
    if kind.startswith("line"):
        return rule((x, x + 14), (y - 4, y - 4), kind)
    return diamond(x + 7, y - 4, kind) if kind == "mark-net" else box(x, y - 10, (14, 11), kind)


def value_axis(
    values: Sequence[float], y_of: Sequence[float], x: tuple[float, float], kind: str = "count"
) -> list[str]:
    """Lines across the picture at values, with the values at their left."""
    pieces = []
    for value, y in zip(values, y_of, strict=True):
        pieces.append(rule(x, (y, y), "zero" if value == 0 else "grid"))
        pieces.append(label(x[0] - 6, y + 4, write(value, kind), "end", "tick"))
    return pieces
