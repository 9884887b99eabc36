"""The colours of the report, light and dark: those of Okabe and Ito, which colour-blind people tell apart."""

from collections.abc import Mapping

# Text, and what it stands on, needs a contrast of 4.5; a mark of a chart 3 (WCAG 2.2, 1.4.3 and 1.4.11).
LIGHT: Mapping[str, str] = {
    "page": "#ffffff",
    "raised": "#f4f5f7",
    "text": "#1b1d1f",
    "muted": "#565b61",
    "link": "#005a8d",
    "line": "#c9cdd2",
    "edge": "#767c84",
    "warning": "#fff4d6",
    "in": "#0072b2",
    "out": "#d55e00",
    "other": "#007a59",
}
DARK: Mapping[str, str] = {
    "page": "#14171a",
    "raised": "#1f2429",
    "text": "#e9e7e3",
    "muted": "#b3b8be",
    "link": "#8ccbf5",
    "line": "#3a4149",
    "edge": "#8b929a",
    "warning": "#3a3011",
    "in": "#56b4e9",
    "out": "#e69f00",
    "other": "#2fc79a",
}
TEXT_ON = tuple(
    (text, ground) for ground in ("page", "raised", "warning") for text in ("text", "muted", "link")
)
MARKS_ON = tuple((mark, "page") for mark in ("in", "out", "other", "edge", "text"))


def variables(palette: Mapping[str, str]) -> str:
    """The palette as variables of a style sheet."""
    return "".join(f"--{name}:{colour};" for name, colour in palette.items())


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, from 1 to 21.

    Source: WCAG 2.2, contrast ratio and relative luminance.
    >>> round(contrast("#ffffff", "#000000"), 1), round(contrast("#0072b2", "#ffffff"), 1)
    (21.0, 5.2)
    """
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
