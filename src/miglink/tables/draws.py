"""The contracts of the draws: other histories that the persons in doubt may have had."""

from miglink.tables.contract import (
    DATE,
    DRAW,
    FLAG,
    NUMBER,
    PART,
    PERSON,
    POLICY,
    RULE,
    TEXT,
    Column,
    Contract,
    required,
)
from miglink.tables.histories import HISTORY_TABLES

_SPELLS = next(contract for contract in HISTORY_TABLES if contract.name == "spells")
_LINKAGE = required(
    "linkage",
    TEXT,
    "which series of draws the row belongs to: best (persons as linked best), drawn (persons as linked in the draw), "
    "or both where the linkage is not in doubt",
)

DRAW_TABLES = (
    Contract(
        "spell_draws",
        "spells",
        "The spells that persons of doubtful components have under each alternative linkage, from draw 1.",
        ("draw", "person_id", "part", "start_date", "sequence"),
        (_SPELLS.columns[0], _SPELLS.columns[1], PART, *_SPELLS.columns[2:]),
    ),
    Contract(
        "doubts",
        "residence",
        "Who is in doubt under a rule and policy, why, and from when on the history is drawn.",
        ("rule", "policy", "person_id", "linkage"),
        (
            RULE,
            POLICY,
            PERSON,
            _LINKAGE,
            required(
                "from_date",
                DATE,
                "the status at the end of this day is the first that is drawn: residence is replaced by "
                "residence_draws from the end of this day on, migrations by migration_draws counted on this day or "
                "later",
            ),
            required(
                "cause",
                TEXT,
                "linkage; missing_crossing; first_status: not known at the beginning; follow_up: not observed for "
                "long enough; of several the first",
            ),
        ),
    ),
    Contract(
        "residence_draws",
        "residence",
        "The drawn statuses of persons in doubt, from 1 on; in force as those of residence.",
        ("draw", "person_id", "part", "rule", "policy", "linkage", "from_date"),
        (
            DRAW,
            PERSON,
            PART,
            RULE,
            POLICY,
            _LINKAGE,
            required("from_date", DATE, "status in force from the end of this day"),
            Column("to_date", DATE, "status in force until the end of this day; null while it lasts"),
            required(
                "status",
                TEXT,
                "resident or non_resident; undetermined where nothing is known from which to draw it",
            ),
            Column(
                "status_before",
                TEXT,
                "status until the end of from_date; null at the beginning of observation and at birth",
            ),
            Column(
                "end_reason",
                TEXT,
                "migration, undetermined, settled, death (as in residence); null while it lasts",
            ),
        ),
    ),
    Contract(
        "migration_draws",
        "residence",
        "The drawn migrations of persons in doubt.",
        ("draw", "person_id", "part", "rule", "policy", "linkage", "counted_date", "sequence"),
        (
            DRAW,
            PERSON,
            PART,
            RULE,
            POLICY,
            _LINKAGE,
            required("counted_date", DATE, "the day in whose month and year it is counted"),
            required("sequence", "INTEGER", "number of the person's migrations in the draw"),
            required("direction", TEXT, "immigration or emigration"),
            required("is_implied", FLAG, "the crossing itself is missing from the records"),
            Column("other_country", TEXT, "country come from or gone to, alpha-3"),
            Column("purpose", TEXT, "stated purpose"),
        ),
    ),
    Contract(
        "follow_up",
        "residence",
        "The model of what is not observed for long enough: how many crossings like these became a migration.",
        ("rule", "policy", "level", "cell"),
        (
            RULE,
            POLICY,
            required("level", "INTEGER", "how many of the features the cell tells apart; 0: none"),
            required("cell", TEXT, "values of the features, in words"),
            required("n_settled", NUMBER, "settled crossings like these at the earlier dates, by weight"),
            required("n_migrations", NUMBER, "those of them that became a migration, by weight"),
            required("p_migration", NUMBER, "probability, drawn towards that of the cell above it"),
            required("n_open", "BIGINT", "crossings of this run that it is asked of"),
        ),
        is_aggregate=True,
    ),
    Contract(
        "back_tests",
        "residence",
        "Earlier days as if the data had ended there: what other years forecast of the crossings open then, and what "
        "became of them.",
        ("rule", "policy", "cut_date", "direction"),
        (
            RULE,
            POLICY,
            required("cut_date", DATE, "the day; windows of crossings before it are over by now"),
            required("direction", TEXT, "arrival or departure"),
            required("n_open", "BIGINT", "crossings whose window was not over on the day, and is now"),
            required("n_migrations", "BIGINT", "those of them that became a migration"),
            required("n_forecast", NUMBER, "how many that would be by the crossings open on the other days"),
            required(
                "standard_error",
                NUMBER,
                "of the forecast: chance, and how far the other days lie from what others make of them",
            ),
        ),
        is_aggregate=True,
    ),
)
