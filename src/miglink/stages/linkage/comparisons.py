"""What is compared between two identities: the comparisons of the configuration, or those that the data allow."""

from collections.abc import Sequence
from dataclasses import replace

from miglink.config.stages import ComparisonSettings, LinkageSettings
from miglink.engine import Engine, Table
from miglink.errors import ConfigError
from miglink.stages.linkage.blocking import Block, count_pairs
from miglink.stages.linkage.further import FURTHER_KINDS
from miglink.stages.linkage.keys import block_columns, clashing_columns, prepare_identities
from miglink.stages.linkage.kinds import (
    BY_FIELD,
    NAME_COLUMNS,
    TWINS,
    exact,
    number,
)
from miglink.stages.linkage.levels import Comparison
from miglink.stages.linkage.model import read_model
from miglink.tables import IDENTIFYING

__all__ = ["Comparison", "check_settings", "choose_comparisons", "prepare_identities"]

# The column that shows whether a field is held at all.
_HELD_IN = {"name": "surname_ascii", "document": "document_number", "travel": "travel_ways"}
_NATURAL_KINDS = {"name": "name", "birth_date": "date", "document": "document", "travel": "travel"}
# A route of its own for a further column may propose so many pairs an identity at most.
_MOST_PAIRS_EACH = 20
# The keys of a code and of a text that narrow a name.
_ROUGHLY = ("_half", "_numbers")


def check_settings(settings: LinkageSettings, further_columns: Sequence[str]) -> None:
    """Whether every field, kind, blocking column and earlier model that the configuration names exists; needs no data.

    Errors: ConfigError with a line for each wrong name, which lists what there is; or why the model cannot be read.
    """
    problems = [
        f"identities.further_columns: {name!r}, or the name of a key made from it, stands for something else already; "
        "choose another name"
        for name in clashing_columns(further_columns)
    ]
    for asked in settings.comparisons or ():
        problems += _problems_of(asked, further_columns)
    known = block_columns(further_columns)
    for rule in settings.blocking or ():
        wrong = [repr(column) for column in rule if column not in known]
        if wrong:
            problems.append(
                f"linkage.blocking: there is no column {', '.join(wrong)} to block on; there are {', '.join(known)}"
            )
    if problems:
        raise ConfigError(*problems)
    if settings.model is not None:
        read_model(settings.model)


def _problems_of(asked: ComparisonSettings, further_columns: Sequence[str]) -> list[str]:
    """What is wrong with one comparison of the configuration."""
    standard = [column.name for column in IDENTIFYING]
    known = [*BY_FIELD, *further_columns, *(name for name in standard if name not in BY_FIELD)]
    if asked.field not in known:
        return [f"linkage.comparisons: no field {asked.field!r}; there are {', '.join(known)}"]
    kinds = [*FURTHER_KINDS]
    if asked.field not in further_columns:
        natural = _NATURAL_KINDS.get(asked.field)
        kinds = [natural] if natural is not None else []
        kinds += ["exact", "number"] * (asked.field in standard and asked.field != "birth_date")
    if asked.kind is not None and asked.kind not in kinds:
        return [
            f"linkage.comparisons: kind {asked.kind!r} does not suit field {asked.field!r}, "
            f"which may be compared as {', '.join(kinds)}"
        ]
    return []


def choose_comparisons(
    engine: Engine, identities: Table, settings: LinkageSettings, further_columns: tuple[str, ...]
) -> list[Comparison]:
    """The comparisons that the configuration names, or those that the fields at hand allow.

    A field is compared if at least one identity in a hundred holds it beyond the sources that are already linked,
    and it takes more than one value. A further column for which the configuration names no kind is compared exactly.
    """
    check_settings(settings, further_columns)
    if settings.comparisons is not None:
        asked = settings.comparisons
        chosen = [_named(comparison, further_columns) for comparison in asked]
        _check_readable(engine, identities, chosen)
    else:
        asked = tuple(
            ComparisonSettings(field=field) for field in _fields_held(engine, identities, further_columns)
        )
        chosen = [_named(comparison, further_columns) for comparison in asked]
    return _with_routes(engine, identities, _within_groups(_once(chosen)), settings)


def _fields_held(engine: Engine, identities: Table, further_columns: tuple[str, ...]) -> list[str]:
    fields = (*BY_FIELD, *further_columns)
    held = ", ".join(
        f"count({column}) FILTER (WHERE given_person IS NULL) AS n_{index}, count(DISTINCT {column}) AS d_{index}"
        for index, field in enumerate(fields)
        for column in [_HELD_IN.get(field, field)]
    )
    (row,) = engine.collect(f"SELECT {held}, count(*) AS n FROM identities", identities=identities).to_dicts()
    return [
        field
        for index, field in enumerate(fields)
        if row[f"n_{index}"] * 100 >= row["n"] and row[f"d_{index}"] > 1
    ]


def _within_groups(chosen: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons that depend on those which are compared too, each as what it is.

    None where families share what is compared: their agreement on name, citizenship and country of birth is counted
    together with it (mixture.Family).
    """
    fields = set() if any(c.is_shared for c in chosen) else {c.field for c in chosen}

    def held(given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(field for field in given if field in fields)

    return [
        replace(
            c,
            given=held(c.given),
            levels=tuple(
                level if level.given is None else replace(level, given=held(level.given))
                for level in c.levels
            ),
        )
        for c in chosen
    ]


def _named(asked: ComparisonSettings, further_columns: Sequence[str]) -> Comparison:
    """The comparison of one entry of the configuration, which has been checked."""
    if asked.field in further_columns:
        comparison = FURTHER_KINDS[asked.kind or "exact"](asked.field)
    elif asked.kind is None or asked.kind == _NATURAL_KINDS.get(asked.field):
        comparison = BY_FIELD.get(asked.field, exact)(asked.field)
    else:
        comparison = {"exact": exact, "number": number}[asked.kind](asked.field)
    return replace(comparison, asked=asked)


def _check_readable(engine: Engine, identities: Table, chosen: Sequence[Comparison]) -> None:
    """A date or quantity of which not one value can be read is a mistake of the configuration, not missing data."""
    read = {"date": "_year", "quantity": "_quantity"}
    asked = [c.asked for c in chosen if c.is_further and c.asked is not None and c.asked.kind in read]
    if not asked:
        return
    counts = ", ".join(
        f"count({entry.field}) AS n_{entry.field}, count({entry.field}{read[entry.kind or '']}) AS r_{entry.field}"
        for entry in asked
    )
    (found,) = engine.collect(f"SELECT {counts} FROM identities", identities=identities).to_dicts()
    problems = [
        f"linkage.comparisons: none of the {found[f'n_{entry.field}']} values of {entry.field!r} is a {entry.kind}; "
        + (
            "a date is ISO text such as 2001-02-03: say under `formats` of the column how it is written"
            if entry.kind == "date"
            else "a quantity is digits with a decimal point"
        )
        for entry in asked
        if found[f"n_{entry.field}"] and not found[f"r_{entry.field}"]
    ]
    if problems:
        raise ConfigError(*problems)


def _once(comparisons: list[Comparison]) -> list[Comparison]:
    """What several fields say for one reason counts once.

    Where names are compared, what brothers and sisters of one birth share counts within the name alone. A comparison
    says nothing either where the one named by `unless_same` says that both sides mean the same. (What families share
    beside a name, an address, a telephone, counts once by the model: mixture.py.)
    """
    by_field = {comparison.field: comparison for comparison in comparisons}
    has_name = any(comparison.columns == NAME_COLUMNS for comparison in comparisons)
    has_shared = any(comparison.is_shared for comparison in comparisons)
    given = []
    for comparison in comparisons:
        silent: list[str] = []
        columns = [*comparison.columns]
        levels = tuple(level for level in comparison.levels if not (has_shared and level.is_twins))
        if has_name and not has_shared and comparison.field in ("birth_date", "citizenship"):
            silent, columns = [*silent, TWINS], [*columns, *NAME_COLUMNS]
        if comparison.asked is not None and comparison.asked.unless_same is not None:
            other = by_field[comparison.asked.unless_same]
            silent, columns = [*silent, other.same], [*columns, *other.columns]
        given.append(
            replace(
                comparison,
                silent=" OR ".join(silent) or None,
                columns=tuple(dict.fromkeys(columns)),
                levels=levels,
            )
        )
    return given


def _with_routes(
    engine: Engine, identities: Table, comparisons: list[Comparison], settings: LinkageSettings
) -> list[Comparison]:
    """Further columns of many values (a street, a postcode) open routes of their own, each narrowed by another field.

    A route that would propose more than 20 pairs an identity is left out: its values are too few to lead anywhere. A
    number that identifies needs no narrowing.
    """
    fields = {comparison.field for comparison in comparisons}
    narrowing = ["surname_start", "given_names_start"] * ("name" in fields)
    narrowing += ["birth_year"] * ("birth_date" in fields)
    if settings.blocking is not None:
        return comparisons
    routes = {
        comparison.field: [(comparison.block_key,), *((comparison.block_key, other) for other in narrowing)]
        for comparison in comparisons
        if comparison.block_key is not None
    }
    if "name" in fields:
        # A date of birth that is not known or another one: the name alone or, where that leads to too many, with what
        # a postcode or an address mostly keeps, errors and all.
        for comparison in comparisons:
            rough = [
                comparison.field + key for key in _ROUGHLY if comparison.field + key in comparison.columns
            ]
            routes.get(comparison.field, []).extend(
                route for key in rough for route in (("name_variants",), (key, "name_variants"))
            )
    every = [Block(route) for own in routes.values() for route in own]
    counted = count_pairs(engine, identities, every)
    most_each, n_identities = float(_MOST_PAIRS_EACH), max(engine.count(identities), 1)
    most = most_each * n_identities
    kept = {block.columns for block, n in zip(every, counted["n_pairs"], strict=True) if n <= most}
    # A route that needs no narrowing leads to all that its narrower ones would, unless its over-full blocks are split:
    # split by a field that one side does not know, a block loses pairs that the narrower routes still hold.
    most_whole = min(settings.pairs_per_identity or most_each, most_each) * n_identities
    whole = {block.columns for block, n in zip(every, counted["n_pairs"], strict=True) if n <= most_whole}
    kept = {columns for columns in kept if len(columns) == 1 or not {columns[:1], columns[1:]} & whole}
    return [
        replace(
            comparison, routes=tuple(route for route in routes.get(comparison.field, ()) if route in kept)
        )
        for comparison in comparisons
    ]
