"""The contracts of the tables that say what is true: known of the synthetic country, or labels of a study.

`miglink evaluate` needs `record_persons`; each further table that is there is compared too.
"""

from miglink.tables.contract import COUNT, DATE, RECORD, RULE, TEXT, Column, Contract, required

TRUE_PERSON = required(
    "true_person_id", TEXT, "the person that the record, spell or migration truly belongs to"
)
_CELL = (
    RULE,
    required("period", TEXT, "month (2019-03), year (2019) or reference date (2019-01-01)"),
    required("sex", TEXT, "male, female, other or total"),
    required("citizenship_group", TEXT, "national, eu, efta, candidate, other, stateless or total"),
)

TRUTH_TABLES = (
    Contract(
        "record_persons",
        "truth",
        "The true person of each record; records without a row here are not evaluated.",
        ("source", "record_id"),
        (*RECORD, TRUE_PERSON),
    ),
    Contract(
        "record_causes",
        "truth",
        "What sets a record apart from others of its person: one row for each cause, none for a plain record.",
        ("source", "record_id", "cause"),
        (
            *RECORD,
            required(
                "cause", TEXT, "passport_renewal, transliteration, swapped_names … (synthetic/README.md)"
            ),
        ),
    ),
    Contract(
        "missing_crossings",
        "truth",
        "The crossings within the observed period that no source recorded.",
        ("true_person_id", "crossed_date", "direction"),
        (
            TRUE_PERSON,
            required("crossed_date", DATE, "local day on which the border was crossed"),
            required("direction", TEXT, "arrival or departure"),
        ),
    ),
    Contract(
        "persons",
        "truth",
        "One row for each person who has a record.",
        ("true_person_id",),
        (
            TRUE_PERSON,
            required("sex", TEXT, "male, female or other"),
            required("birth_date", DATE, "date of birth"),
            Column("death_date", DATE, "date of death, within the known history"),
            Column("birth_country", TEXT, "country of birth, alpha-3"),
            required("journey", TEXT, "why the person crosses borders: tourist, student, emigrant …"),
        ),
    ),
    Contract(
        "person_traits",
        "truth",
        "Traits that change over time: value in force from a date to the next.",
        ("true_person_id", "trait", "valid_from"),
        (
            TRUE_PERSON,
            required("trait", TEXT, "citizenship, citizenship_group"),
            required("valid_from", DATE, "first day the value holds; the first value holds from 0001-01-01"),
            required("value", TEXT, "the value"),
            Column("valid_to", DATE, "first day the value no longer holds; null while it does"),
        ),
    ),
    Contract(
        "spells",
        "truth",
        "True presence and absence, half-open, without gaps from birth or the start of history to death or its end.",
        ("true_person_id", "start_date", "sequence"),
        (
            TRUE_PERSON,
            required("start_date", DATE, "first day of the spell"),
            required(
                "sequence", "INTEGER", "order of the spells of a person, from 1; a spell may have no length"
            ),
            required("end_date", DATE, "first day after the spell"),
            required("state", TEXT, "present or absent"),
        ),
    ),
    Contract(
        "residence",
        "truth",
        "True status of each person under each rule, in force from the end of from_date to the end of to_date.",
        ("true_person_id", "rule", "from_date"),
        (
            TRUE_PERSON,
            RULE,
            required(
                "from_date",
                DATE,
                "in force from the end of this day; the first from birth or the start of history",
            ),
            Column(
                "to_date",
                DATE,
                "in force until the end of this day (next migration or death); null while it lasts",
            ),
            required("status", TEXT, "resident or non_resident"),
        ),
    ),
    Contract(
        "migrations",
        "truth",
        "The true migrations under each rule, dated by their crossing.",
        ("true_person_id", "rule", "event_date", "direction"),
        (
            TRUE_PERSON,
            RULE,
            required("event_date", DATE, "day of the crossing"),
            required("direction", TEXT, "immigration or emigration"),
        ),
    ),
    Contract(
        "flows",
        "truth",
        "True immigration, emigration and net migration in the months and years observed.",
        ("rule", "period", "flow", "sex", "citizenship_group"),
        (
            *_CELL,
            required("flow", TEXT, "immigration, emigration or net"),
            required("n", COUNT, "migrations"),
        ),
    ),
    Contract(
        "stocks",
        "truth",
        "True usual residents at the reference dates within the observed period.",
        ("rule", "period", "sex", "citizenship_group"),
        (*_CELL, required("n", COUNT, "usual residents")),
    ),
)
