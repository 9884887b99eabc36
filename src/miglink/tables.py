"""The contract of every table: key, columns, types, units and one sentence each.

Engines check each table against this page when they write it; `miglink tables` and docs/tables.md print it.
Types are DuckDB's. A column that is not in the contract may follow only where `open_columns` says so.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column: its type, what it means, and whether it may be null."""

    name: str
    type: str
    meaning: str
    nullable: bool = True


@dataclass(frozen=True)
class Contract:
    """One table: the stage that gives it, its key and its columns in order."""

    name: str
    stage: str
    sentence: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    open_columns: bool = False


def _required(name: str, type_: str, meaning: str) -> Column:
    return Column(name, type_, meaning, nullable=False)


TEXT, DATE, COUNT, NUMBER, FLAG = "VARCHAR", "DATE", "BIGINT", "DOUBLE", "BOOLEAN"

# The standardised fields by which a person can be recognised. identity_id is a hash of all of them.
IDENTIFYING = (
    Column("surname_icao", TEXT, "surname in the Latin spelling of ICAO 9303, A-Z and single spaces"),
    Column("given_names_icao", TEXT, "given names in the spelling of ICAO 9303"),
    Column("surname_ascii", TEXT, "surname in plain ASCII (accents dropped), A-Z and single spaces"),
    Column("given_names_ascii", TEXT, "given names in plain ASCII"),
    Column("birth_date", DATE, "date of birth; unknown parts are 01"),
    Column("birth_date_precision", TEXT, "day, month or year: how much of birth_date is known"),
    Column("sex", TEXT, "male, female, other; null if not stated"),
    Column("citizenship", TEXT, "ISO 3166 alpha-3 (or XXA, XXB … of ICAO 9303) of the first citizenship"),
    Column("citizenship_2", TEXT, "second citizenship, where a source holds one"),
    Column("birth_country", TEXT, "country of birth, ISO 3166 alpha-3"),
    Column("document_number", TEXT, "travel document: A-Z and 0-9 only"),
    Column("document_country", TEXT, "state that issued the document, coded like citizenship"),
    Column("person_number", TEXT, "national person number: A-Z and 0-9 only"),
    Column("given_person", TEXT, "source and person_id of a source that is already linked"),
)

_DRAW = _required("draw", "INTEGER", "0 = best linkage; 1..D = alternative linkages of doubtful persons")
_PERSON = _required("person_id", TEXT, "keyed pseudonym of the person, 64 hexadecimal digits")
_RULE = _required("rule", TEXT, "name of the usual-residence rule")
_POLICY = _required("policy", TEXT, "policy for missing crossings: unresolved, midpoint, reject_person, …")
_RECORD = (
    _required("source", TEXT, "name of the source"),
    _required("record_id", TEXT, "key of the record within it"),
)
_CELL = (
    _RULE,
    _POLICY,
    _required("period", TEXT, "month (2019-03), year (2019) or reference date (2019-01-01)"),
    _required("sex", TEXT, "male, female, other, unknown or total"),
    _required("citizenship_group", TEXT, "national, eu, efta, candidate, other, stateless, unknown or total"),
)
_VINTAGE = (
    _required("data_to_date", DATE, "the observation that the figure rests on ends before this day"),
    _required(
        "status",
        TEXT,
        "final: the whole window of the rule has been observed, no later crossing can change it; else provisional",
    ),
)

_ALL = (
    Contract(
        "records",
        "ingest",
        "One row for each accepted row of a source, names and codes standardised.",
        ("source", "record_id"),
        (
            *_RECORD,
            _required(
                "kind",
                TEXT,
                "kind of the source: crossings, visas, permits, register, activity, people, vital",
            ),
            _required(
                "is_repeat",
                FLAG,
                "a double scan: same content within the source's repeat window as another record",
            ),
            Column("record_date", DATE, "the day the record speaks of (crossing, issue, registration …)"),
            Column("surname", TEXT, "surname as given (after splitting)"),
            Column("given_names", TEXT, "given names as given (after splitting)"),
            *IDENTIFYING,
            Column("region", TEXT, "region of residence, as coded by the source"),
            Column("crossed_date", DATE, "crossings: local calendar day of the crossing"),
            Column(
                "crossed_at",
                "TIMESTAMP",
                "crossings: local time of the crossing; null where the hour is not known",
            ),
            Column("direction", TEXT, "crossings: arrival or departure"),
            Column("port", TEXT, "crossings: place of crossing"),
            Column("purpose", TEXT, "stated purpose of the crossing, visa or permit"),
            Column("country_from_to", TEXT, "crossings: country come from or gone to, alpha-3"),
            Column("valid_from", DATE, "visas, permits, register, activity: first day"),
            Column("valid_to", DATE, "visas, permits, activity: last day of validity (inclusive)"),
            Column("ended_date", DATE, "register: date of removal, the first day no longer registered"),
            Column("reason", TEXT, "register: reason of registration; vital: birth or death"),
            Column("end_reason", TEXT, "register: reason of removal"),
            Column("event_date", DATE, "vital: date of birth or death"),
            Column("mother_person_number", TEXT, "births: person number of the mother"),
            Column("domain", TEXT, "activity: tax, school, health …"),
            Column(
                "notes", TEXT, "values that could not be used: birth_date_unreadable, birth_date_after_record"
            ),
        ),
        open_columns=True,
    ),
    Contract(
        "rejected",
        "ingest",
        "One row for each row of a source that was not accepted, with the reason.",
        ("source", "file", "row_number", "reason"),
        (
            _required("source", TEXT, "name of the source"),
            _required("file", TEXT, "file name without folder"),
            _required(
                "row_number", COUNT, "data row within the file: header and blank lines are not counted"
            ),
            _required("reason", TEXT, "what was wrong, such as crossed_date_unreadable"),
        ),
    ),
    Contract(
        "row_accounts",
        "ingest",
        "Rows of each source: read = accepted + rejected; trailers and double scans beside them.",
        ("source",),
        (
            _required("source", TEXT, "name of the source"),
            _required("n_files", COUNT, "files read"),
            _required("n_read", COUNT, "data rows read"),
            _required("n_accepted", COUNT, "rows accepted"),
            _required("n_rejected", COUNT, "rows rejected"),
            _required("n_repeats", COUNT, "accepted rows that repeat another (double scans)"),
            _required("n_trailers", COUNT, "control lines, not data"),
        ),
    ),
    Contract(
        "judgements",
        "ingest",
        "Clerical decisions on pairs of records; they bind.",
        ("source_l", "record_id_l", "source_r", "record_id_r"),
        (
            _required("source_l", TEXT, "source of the left record"),
            _required("record_id_l", TEXT, "left record"),
            _required("source_r", TEXT, "source of the right record"),
            _required("record_id_r", TEXT, "right record"),
            _required("verdict", TEXT, "match, non_match or unsure"),
            Column("reviewer", TEXT, "who decided"),
            Column("decided_at", "TIMESTAMP", "when"),
        ),
    ),
    Contract(
        "identities",
        "identities",
        "Distinct combinations of the identifying fields.",
        ("identity_id",),
        (
            _required("identity_id", TEXT, "SHA-256 of the standardised identifying fields"),
            *IDENTIFYING,
            _required("n_records", COUNT, "records that carry this identity"),
            Column("first_date", DATE, "earliest record_date"),
            Column("last_date", DATE, "latest record_date"),
        ),
        open_columns=True,
    ),
    Contract(
        "record_identities",
        "identities",
        "The identity of each record.",
        ("source", "record_id"),
        (*_RECORD, _required("identity_id", TEXT, "identity of the record")),
    ),
    Contract(
        "links",
        "linkage",
        "Pairs of identities that were compared and scored at least as high as the floor of the configuration.",
        ("identity_id_l", "identity_id_r"),
        (
            _required("identity_id_l", TEXT, "smaller identity_id of the pair"),
            _required("identity_id_r", TEXT, "larger identity_id of the pair"),
            _required(
                "blocking_rule",
                TEXT,
                "first rule that proposed the pair; judgement or given_person for bound pairs",
            ),
            _required(
                "match_weight", NUMBER, "log2 of the Bayes factor with the prior, rounded to 6 decimals"
            ),
            _required("p_match", NUMBER, "probability of a match under the model, rounded to 6 decimals"),
        ),
        open_columns=True,
    ),
    Contract(
        "persons",
        "persons",
        "One row for each person with the facts that do not change.",
        ("person_id",),
        (
            _PERSON,
            Column("sex", TEXT, "most frequent value among the records; ties to the smaller word"),
            Column("birth_date", DATE, "most frequent among the most precise dates"),
            Column("birth_date_precision", TEXT, "day, month or year"),
            Column("birth_country", TEXT, "country of birth, alpha-3"),
            Column("death_date", DATE, "date of death, from vital records"),
            Column("mother_person_id", TEXT, "person_id of the mother, where a birth record names her"),
            _required(
                "is_born_here", FLAG, "a birth record or registration by birth in the observed period exists"
            ),
            _required("n_identities", COUNT, "identities of the person"),
            _required("n_records", COUNT, "records of the person"),
            _required(
                "is_doubtful",
                FLAG,
                "the component holds a link below the configured probability of certainty",
            ),
            _required("id_since_date", DATE, "data_to_date of the run in which the id was first given"),
        ),
    ),
    Contract(
        "person_traits",
        "persons",
        "Traits that change over time: value in force from a date to the next.",
        ("person_id", "trait", "valid_from"),
        (
            _PERSON,
            _required("trait", TEXT, "citizenship, region, …"),
            _required(
                "valid_from",
                DATE,
                "first day the value holds; the first value of a person holds from 0001-01-01",
            ),
            _required("value", TEXT, "the value"),
            Column("valid_to", DATE, "first day the value no longer holds; null while it does"),
            _required("source", TEXT, "source of the value"),
        ),
    ),
    Contract(
        "identity_persons",
        "persons",
        "The person of each identity.",
        ("identity_id",),
        (_required("identity_id", TEXT, "identity"), _PERSON),
    ),
    Contract(
        "record_persons",
        "persons",
        "The person of each record.",
        ("source", "record_id"),
        (*_RECORD, _PERSON),
    ),
    Contract(
        "person_draws",
        "persons",
        "Alternative linkages: the person of each identity of a doubtful person, for each draw from 1.",
        ("draw", "identity_id"),
        (_DRAW, _required("identity_id", TEXT, "identity"), _PERSON),
    ),
    Contract(
        "conflicts",
        "persons",
        "What contradicted what within a person or between two, and who won.",
        ("person_id", "kind", "detail_l", "detail_r"),
        (
            _PERSON,
            _required(
                "kind",
                TEXT,
                "one_record_per_person, given_person, non_match, match_overruled, dead_twice, id_merged …",
            ),
            _required("detail_l", TEXT, "identity, person or date on one side"),
            _required("detail_r", TEXT, "identity, person or date on the other side"),
            _required("winner", TEXT, "what was kept, in words"),
        ),
    ),
    Contract(
        "spells",
        "spells",
        "Presence and absence of each person, half-open: a spell holds from start_date up to but not on end_date.",
        ("draw", "person_id", "start_date", "sequence"),
        (
            _DRAW,
            _PERSON,
            _required("start_date", DATE, "first day of the spell"),
            _required(
                "sequence",
                "INTEGER",
                "order of the spells of a person, from 1; spells of one day may have no length",
            ),
            Column("end_date", DATE, "first day after the spell; null while it lasts"),
            _required("state", TEXT, "present, absent, or unresolved (a crossing is missing within)"),
            _required(
                "start_direction",
                TEXT,
                "arrival or departure: the crossing the spell begins with; start: none, observation or birth",
            ),
            _required("start_basis", TEXT, "crossing, birth, observation_start"),
            Column("start_source", TEXT, "source of the record that began it"),
            Column("start_record_id", TEXT, "record that began it"),
            Column("earliest_date", DATE, "unresolved: first possible date of the missing crossing"),
            Column("latest_date", DATE, "unresolved: last possible date of the missing crossing"),
            _required("end_basis", TEXT, "crossing, death, or observation_end"),
        ),
    ),
    Contract(
        "residence",
        "residence",
        "Status of each person under each rule and policy, in force from the end of from_date to the end of to_date.",
        ("draw", "person_id", "rule", "policy", "from_date"),
        (
            _DRAW,
            _PERSON,
            _RULE,
            _POLICY,
            _required(
                "from_date",
                DATE,
                "status in force from the end of this day; the initial status from the day before observation",
            ),
            Column("to_date", DATE, "status in force until the end of this day; null while it lasts"),
            _required("status", TEXT, "resident, non_resident or undetermined"),
            _required(
                "basis",
                TEXT,
                "crossing, implied_crossing, first_crossing, register, permit, not_registered, mother, birth_abroad, "
                "rejected_person, none: what the status rests on",
            ),
            Column("status_final_date", DATE, "known at the end of that day; null while undetermined"),
            Column(
                "end_reason",
                TEXT,
                "migration, undetermined, settled (no longer undetermined), death; null while it lasts",
            ),
        ),
    ),
    Contract(
        "migrations",
        "residence",
        "Crossings that are, or may become, a migration under a rule and policy.",
        ("draw", "person_id", "rule", "policy", "event_date", "sequence", "is_implied"),
        (
            _DRAW,
            _PERSON,
            _RULE,
            _POLICY,
            _required("event_date", DATE, "day of the crossing (implied crossings: first possible day)"),
            _required(
                "sequence",
                "INTEGER",
                "sequence of the spell that the crossing begins, or within which the implied one lies",
            ),
            _required("direction", TEXT, "immigration or emigration"),
            _required("outcome", TEXT, "migration or undetermined"),
            Column(
                "p_migration",
                NUMBER,
                "probability of becoming a migration; 1 where settled, null where not estimated",
            ),
            _required("is_implied", FLAG, "the crossing itself is missing from the records"),
            Column("status_final_date", DATE, "day at whose end the status after it is known"),
            Column("migration_final_date", DATE, "day at whose end it is known whether it is a migration"),
            Column("other_country", TEXT, "country come from or gone to, alpha-3"),
            Column("purpose", TEXT, "stated purpose"),
        ),
    ),
    Contract(
        "stocks",
        "estimates",
        "Usual residents at reference dates.",
        ("rule", "policy", "period", "sex", "citizenship_group"),
        (
            *_CELL,
            _required(
                "coverage",
                TEXT,
                "population, or travellers_only where no source lists residents who never travel",
            ),
            _required("n_settled", COUNT, "persons whose status is resident"),
            _required("n_undetermined", COUNT, "persons whose status is undetermined"),
            Column(
                "n", NUMBER, "headline estimate; null until nothing is undetermined or an interval exists"
            ),
            Column("lower", NUMBER, "lower bound of the interval"),
            Column("upper", NUMBER, "upper bound of the interval"),
            *_VINTAGE,
        ),
    ),
    Contract(
        "flows",
        "estimates",
        "Immigration, emigration and net migration in months and years.",
        ("rule", "policy", "period", "flow", "sex", "citizenship_group"),
        (
            *_CELL,
            _required("flow", TEXT, "immigration, emigration or net"),
            _required("n_settled", COUNT, "settled migrations (net: immigration − emigration)"),
            _required(
                "n_undetermined", COUNT, "crossings that may become migrations (net: sum of both directions)"
            ),
            Column(
                "n", NUMBER, "headline estimate; null until nothing is undetermined or an interval exists"
            ),
            Column("lower", NUMBER, "lower bound of the interval"),
            Column("upper", NUMBER, "upper bound of the interval"),
            *_VINTAGE,
        ),
    ),
    Contract(
        "accounts",
        "estimates",
        "Opening to closing stock of settled residents by year, every term counted from events.",
        ("rule", "policy", "period", "sex", "citizenship_group"),
        (
            *_CELL,
            _required("opening", COUNT, "settled residents at 1 January"),
            _required("immigration", COUNT, "settled immigrations in the year"),
            _required("emigration", COUNT, "settled emigrations in the year"),
            _required("births", COUNT, "children born resident"),
            _required("deaths", COUNT, "residents who died"),
            _required("moves", COUNT, "net moves into the cell by a change of trait while resident"),
            _required(
                "net_undetermined",
                COUNT,
                "residents whose status was settled minus those whose status became undetermined",
            ),
            _required("closing", COUNT, "settled residents at the next 1 January"),
            _required("discrepancy", COUNT, "closing minus the sum of the terms; always 0, or the run fails"),
        ),
    ),
    Contract(
        "quality",
        "quality",
        "Row accounts and rates that describe the run, by stage.",
        ("stage", "measure", "item"),
        (
            _required("stage", TEXT, "stage that the measure belongs to"),
            _required("measure", TEXT, "what is measured"),
            _required("item", TEXT, "source, field, rule … it is measured for; all for the whole"),
            _required("value", NUMBER, "the value, a count or a share from 0 to 1 as the measure says"),
        ),
    ),
)

TABLES: dict[str, Contract] = {contract.name: contract for contract in _ALL}
