"""The contracts of the tables of stages spells and residence: where persons were, and where they lived."""

from miglink.tables.contract import (
    DATE,
    DRAW,
    FLAG,
    NUMBER,
    PERSON,
    POLICY,
    RULE,
    TEXT,
    Column,
    Contract,
    required,
)

HISTORY_TABLES = (
    Contract(
        "spells",
        "spells",
        "Presence and absence of each person, half-open: a spell holds from start_date up to but not on end_date.",
        ("draw", "person_id", "start_date", "sequence"),
        (
            DRAW,
            PERSON,
            required("start_date", DATE, "first day of the spell"),
            required(
                "sequence",
                "INTEGER",
                "order of the spells of a person, from 1; spells of one day may have no length",
            ),
            Column("end_date", DATE, "first day after the spell; null while it lasts"),
            required(
                "state",
                TEXT,
                "present, absent, or unresolved (a crossing is missing within, or after the last)",
            ),
            required(
                "start_direction",
                TEXT,
                "arrival or departure: the crossing the spell begins with; start: none, observation or birth",
            ),
            required("start_basis", TEXT, "crossing, birth, observation_start"),
            Column("start_source", TEXT, "source of the record that began it"),
            Column("start_record_id", TEXT, "record that began it"),
            Column("earliest_date", DATE, "unresolved: first possible date of the missing crossing"),
            Column("latest_date", DATE, "unresolved: last possible date of the missing crossing"),
            Column(
                "likely_date",
                DATE,
                "unresolved: most likely date of the missing crossing, by where the evidence says the person lives",
            ),
            required("end_basis", TEXT, "crossing, death, or observation_end"),
        ),
    ),
    Contract(
        "contradictions",
        "spells",
        "Kinds of evidence that say otherwise of a stay in doubt than a kind that is trusted more, which decides.",
        ("draw", "person_id", "sequence", "loser"),
        (
            DRAW,
            PERSON,
            required("sequence", "INTEGER", "the spell that they speak of"),
            required(
                "loser", TEXT, "kind of evidence that is not believed: activity, register, permit or visa"
            ),
            required(
                "loser_says",
                TEXT,
                "here (the person lives here then) or away; the winner says the other",
            ),
            required("winner", TEXT, "kind of evidence that is believed"),
            required(
                "since_date",
                DATE,
                "the day asked about, or after a last arrival the first day of which they say otherwise",
            ),
            required("loser_source", TEXT, "source of the record that says it: of several the last to end"),
            required("loser_record_id", TEXT, "key of that record"),
            required("winner_source", TEXT, "source of the winner's record"),
            required("winner_record_id", TEXT, "key of that record"),
        ),
    ),
    Contract(
        "residence",
        "residence",
        "Status of each person under each rule and policy, in force from the end of from_date to the end of to_date.",
        ("draw", "person_id", "rule", "policy", "from_date"),
        (
            DRAW,
            PERSON,
            RULE,
            POLICY,
            required(
                "from_date",
                DATE,
                "status in force from the end of this day; the initial status from the day before observation",
            ),
            Column("to_date", DATE, "status in force until the end of this day; null while it lasts"),
            required("status", TEXT, "resident, non_resident or undetermined"),
            required(
                "basis",
                TEXT,
                "crossing, implied_crossing, active_registration, first_crossing, register, "
                "permit, not_registered, not_listed, mother, birth_abroad, "
                "rejected_person, none: what the status rests on; expected_stay: a permit or visa; register: a "
                "registration, or under a rule by registration its end too; no_visa: under a rule by visas, nothing "
                "that tells the first status, nor a visa; residency_index: the year's index of signs of life",
            ),
            Column(
                "status_final_date",
                DATE,
                "known at the end of that day; null while undetermined, or while it rests on an expected stay, or on "
                "a crossing presumed after the last one recorded, that later crossings can still overturn",
            ),
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
        "Crossings (or registrations) that are, or may become, a migration under a rule and policy.",
        ("draw", "person_id", "rule", "policy", "event_date", "sequence", "is_implied"),
        (
            DRAW,
            PERSON,
            RULE,
            POLICY,
            required(
                "event_date",
                DATE,
                "day of the crossing (implied crossings: first possible day), or of the registration or its end",
            ),
            required(
                "counted_date",
                DATE,
                "the day in whose month and year it is counted, and from whose end the new status holds: event_date, "
                "but under a rule that looks back the last day of the year at whose end the new status was first "
                "found, if event_date lies in an earlier year; under such a rule only the year has a meaning",
            ),
            required(
                "sequence",
                "INTEGER",
                "sequence of the spell that the crossing begins, or within which the implied one lies; under a rule "
                "that rests on no crossings, number of the person's change",
            ),
            required("direction", TEXT, "immigration or emigration"),
            required("outcome", TEXT, "migration or undetermined"),
            Column(
                "p_migration",
                NUMBER,
                "probability of becoming a migration; 1 where settled, null where not estimated and where the "
                "migration rests on what later crossings can still overturn, as an expected stay",
            ),
            required("is_implied", FLAG, "the crossing itself is missing from the records"),
            Column(
                "status_final_date",
                DATE,
                "day at whose end the status after it is known; null while later crossings can change it",
            ),
            Column(
                "migration_final_date",
                DATE,
                "day at whose end it is known whether it is a migration; null while later crossings can change it",
            ),
            Column("other_country", TEXT, "country come from or gone to, alpha-3"),
            Column("purpose", TEXT, "stated purpose"),
        ),
    ),
)
