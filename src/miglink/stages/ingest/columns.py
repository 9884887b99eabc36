"""Turns the mapping of a column into SQL: text values, codes and dates of a precision."""

import re
from dataclasses import dataclass

from miglink.config.sources import Mapping
from miglink.engine import identifier, text_literal

# The parts of a date format and the regular expression of each; a group each, in the order in which they stand.
_PARTS = {
    "Y": r"(\d{4})",
    "y": r"(\d{2})",
    "m": r"(\d{2}|UNKNOWN)",
    "d": r"(\d{2}|UNKNOWN)",
    "b": r"(\pL+|UNKNOWN)",
    "H": r"(\d{2})",
    "M": r"(\d{2})",
    "S": r"(\d{2})",
}
# Not every engine reads it as a time.
_MIDNIGHT = " 24:00:00"


def value_sql(mapping: Mapping) -> str:
    """The text value of a mapping: columns joined, the part that counts taken, missing values null."""
    if mapping.constant is not None:
        return text_literal(mapping.constant)
    assert mapping.from_ is not None
    columns = (mapping.from_,) if isinstance(mapping.from_, str) else mapping.from_
    cleaned = [f"nullif(trim({identifier(column)}), '')" for column in columns]
    value = (
        cleaned[0]
        if len(cleaned) == 1
        else f"nullif(concat_ws({text_literal(mapping.join)}, {', '.join(cleaned)}), '')"
    )
    if mapping.extract is not None:
        value = f"nullif(trim(regexp_extract({value}, {text_literal(mapping.extract)}, 1)), '')"
    if mapping.keep == "digits":
        value = f"nullif(regexp_replace({value}, '[^0-9]', '', 'g'), '')"
    if mapping.missing:
        words = ", ".join(text_literal(word.upper()) for word in mapping.missing)
        value = f"(CASE WHEN upper({value}) NOT IN ({words}) THEN {value} END)"
    return value


def mapped_sql(value: str, mapping: Mapping) -> str:
    """The word that a mapping gives a code; null where it names none, the code itself where it maps nothing."""
    if mapping.map is None:
        return value
    cases = " ".join(
        f"WHEN {text_literal(code.strip().upper())} THEN {text_literal(word)}"
        for code, word in mapping.map.items()
    )
    kept = value if mapping.unmapped == "keep" else "NULL"
    return f"(CASE upper({value}) {cases} ELSE {kept} END)"


def number_sql(value: str) -> str:
    """A number written with a decimal point; null for any other word."""
    pattern = text_literal(r"^-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+)?\z")
    return f"(CASE WHEN regexp_matches({value}, {pattern}) THEN TRY_CAST({value} AS DOUBLE) END)"


@dataclass(frozen=True)
class DateFormat:
    """One date format as a regular expression and the position of each part among its groups."""

    pattern: str
    positions: dict[str, int]

    def part(self, value: str, letter: str) -> str:
        """SQL of one part of the date."""
        return f"regexp_extract({value}, {text_literal(self.pattern)}, {self.positions[letter]})"


def date_format(text: str, unknown_parts: tuple[str, ...]) -> DateFormat:
    """The regular expression of a format such as `%d/%m/%Y %H:%M`."""
    pieces = re.findall(r"%[A-Za-z]|[^%]|%", text)
    unknown = "|".join(re.escape(part) for part in unknown_parts) or "(?!)"
    pattern = "^"
    positions: dict[str, int] = {}
    for index, piece in enumerate(pieces):
        if len(piece) == 2:
            positions[piece[1]] = len(positions) + 1
            expression = _PARTS[piece[1]].replace("UNKNOWN", unknown)
            # One digit is enough where a separator shows where the part ends.
            follows = pieces[index + 1] if index + 1 < len(pieces) else " "
            precedes = pieces[index - 1] if index else " "
            if piece[1] in "mdH" and len(follows) == 1 and len(precedes) == 1:
                expression = expression.replace(r"\d{2}", r"\d{1,2}")
            pattern += expression
        else:
            pattern += re.escape(piece)
    return DateFormat(pattern + r"\z", positions)


def iso_sql(value: str, format_text: str, mapping: Mapping) -> str:
    """A date of this format as text: `yyyy-mm-dd[ hh:mm:ss]`, unknown parts 00, a year of two digits as `~~yy`.

    Null where the value does not have the format. Whether such a day exists is for the caller to check.
    """
    form = date_format(format_text, mapping.unknown_parts)
    if "b" in form.positions:
        return _named_iso_sql(value, form, mapping)
    # One replacement puts the parts in order, each after a 0; another takes the 0 from parts of two digits.
    year = rf"\{form.positions['Y']}" if "Y" in form.positions else rf"~~\{form.positions['y']}"
    month, day, hour, minute, second = (
        rf"0\{form.positions[letter]}" if letter in form.positions else "000" for letter in "mdHMS"
    )
    ordered = f"{year}-{month}-{day}" + (f" {hour}:{minute}:{second}" if "H" in form.positions else "")
    text = f"regexp_replace({value}, {text_literal(form.pattern)}, {text_literal(ordered)}, 'g')"
    for unknown in mapping.unknown_parts:
        text = f"replace({text}, {text_literal('-0' + unknown)}, '-000')"
    text = rf"regexp_replace({text}, '([- :])0(\d\d)', '\1\2', 'g')"
    return f"(CASE WHEN regexp_matches({value}, {text_literal(form.pattern)}) THEN {text} END)"


def _named_iso_sql(value: str, form: DateFormat, mapping: Mapping) -> str:
    """The same where the month is a name: part by part."""
    year = form.part(value, "Y") if "Y" in form.positions else f"('~~' || {form.part(value, 'y')})"
    month = _named_month(form, value, mapping)
    day = _two_digits(form, value, "d", mapping) if "d" in form.positions else "'00'"
    time = ""
    if "H" in form.positions:
        minute = form.part(value, "M") if "M" in form.positions else "'00'"
        second = form.part(value, "S") if "S" in form.positions else "'00'"
        hour = f"lpad({form.part(value, 'H')}, 2, '0')"
        time = f" || ' ' || {hour} || ':' || {minute} || ':' || {second}"
    text = f"({year} || '-' || {month} || '-' || {day}{time})"
    return f"(CASE WHEN regexp_matches({value}, {text_literal(form.pattern)}) THEN {text} END)"


def _two_digits(form: DateFormat, value: str, letter: str, mapping: Mapping) -> str:
    part = form.part(value, letter)
    unknown = ", ".join(text_literal(word) for word in mapping.unknown_parts)
    known = f"lpad({part}, 2, '0')"
    return f"(CASE WHEN {part} IN ({unknown}) THEN '00' ELSE {known} END)" if unknown else known


def _named_month(form: DateFormat, value: str, mapping: Mapping) -> str:
    assert mapping.months is not None
    cases = " ".join(
        f"WHEN {text_literal(name.upper())} THEN '{number:02d}'"
        for number, name in enumerate(mapping.months, 1)
    )
    unknown = " ".join(f"WHEN {text_literal(word)} THEN '00'" for word in mapping.unknown_parts)
    return f"(CASE upper({form.part(value, 'b')}) {cases} {unknown} ELSE '99' END)"


def resolved_sql(iso: str, anchor: str) -> str:
    """The text of iso_sql with two-digit years resolved: the latest century not after the anchor date (ISO text)."""
    century = f"CAST(FLOOR(CAST(substring({anchor}, 1, 4) AS INTEGER) / 100) AS INTEGER)"
    rest = f"substring({iso}, 3)"
    later = f"(lpad(CAST({century} AS VARCHAR), 2, '0') || {rest})"
    earlier = f"(lpad(CAST({century} - 1 AS VARCHAR), 2, '0') || {rest})"
    return (
        f"(CASE WHEN starts_with({iso}, '~~') THEN "
        f"CASE WHEN substring({later}, 1, 10) <= {anchor} THEN {later} ELSE {earlier} END ELSE {iso} END)"
    )


def exists_sql(iso: str) -> str:
    """Whether the day (and time) of an ISO text exists, in the years 1800 to 2199; unknown parts taken as the first."""
    known = known_parts_sql(iso)
    return (
        f"(substring({iso}, 1, 4) BETWEEN '1800' AND '2199' "
        f"AND TRY_CAST(substring({known}, 1, 10) AS DATE) IS NOT NULL "
        f"AND (length({iso}) = 10 OR TRY_CAST(replace({known}, '{_MIDNIGHT}', ' 00:00:00') AS TIMESTAMP) IS NOT NULL))"
    )


def time_sql(iso: str) -> str:
    """The time of an ISO text that exists; the midnight that ends a day begins the next."""
    begin = f"CAST(replace({iso}, '{_MIDNIGHT}', ' 00:00:00') AS TIMESTAMP)"
    return (
        f"({begin} + (CASE WHEN substring({iso}, 11) = '{_MIDNIGHT}' THEN 24 ELSE 0 END) * INTERVAL 1 HOUR)"
    )


def known_parts_sql(iso: str) -> str:
    """An ISO text with unknown month and day as 01."""
    return (
        f"(substring({iso}, 1, 4) || replace(substring({iso}, 5, 6), '-00', '-01') || substring({iso}, 11))"
    )


def precision_sql(iso: str) -> str:
    """day, month or year: how much of an ISO text is known."""
    return (
        f"(CASE WHEN {iso} IS NULL THEN NULL WHEN substring({iso}, 6, 2) = '00' THEN 'year' "
        f"WHEN substring({iso}, 9, 2) = '00' THEN 'month' ELSE 'day' END)"
    )


def dated_text_sql(value: str, mapping: Mapping, anchor: str) -> str:
    """A further column with `formats` as ISO text of what is known (2001-02-03, 2001-02, 2001); else as it is given."""
    text = value
    for form in reversed(mapping.formats or ()):
        iso = resolved_sql(iso_sql(value, form, mapping), anchor)
        day, precision = f"substring({iso}, 1, 10)", precision_sql(iso)
        length = f"(CASE {precision} WHEN 'year' THEN 4 WHEN 'month' THEN 7 ELSE 10 END)"
        text = f"(CASE WHEN {exists_sql(iso)} THEN substring({day}, 1, {length}) ELSE {text} END)"
    return text
