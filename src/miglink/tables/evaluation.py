"""The contracts of the tables that `miglink evaluate` writes: how far a run is from the truth, and where."""

from miglink.tables.contract import COUNT, NUMBER, PERSON, TEXT, Column, Contract, required

TOTAL = "total"

EVALUATION_TABLES = (
    Contract(
        "evaluation",
        "evaluate",
        "How far a run is from the truth: one row for each measure (docs/evaluation.md has the formulas); "
        "`total` in a column that the measure is not broken down by.",
        (
            "part",
            "measure",
            "rule",
            "policy",
            "period",
            "flow",
            "sex",
            "citizenship_group",
            "source_l",
            "source_r",
            "true_value",
            "found_value",
            "cause",
        ),
        (
            required(
                "part",
                TEXT,
                "comparison, linkage, persons, spells, statuses, flows, stocks, migrations or causes",
            ),
            required("measure", TEXT, "what is measured"),
            required("rule", TEXT, "usual-residence rule"),
            required("policy", TEXT, "policy for missing crossings"),
            required("period", TEXT, "month, year or reference date"),
            required("flow", TEXT, "flow, or direction of a migration"),
            required("sex", TEXT, "sex of the cell"),
            required(
                "citizenship_group", TEXT, "of the cell; of linkage and persons: the true person's last"
            ),
            required("source_l", TEXT, "source, or the first of a pair by name"),
            required("source_r", TEXT, "the second of a pair of sources"),
            required("true_value", TEXT, "state or status that is true"),
            required("found_value", TEXT, "state or status that the run found"),
            required(
                "cause",
                TEXT,
                "what sets records apart, or what a wrong migration is put down to; none: nothing",
            ),
            Column("status", TEXT, "final or provisional: of the run's figure that is compared"),
            required("value", NUMBER, "counts, days, shares from 0 to 1, rates per 1,000 or per person-year"),
        ),
    ),
    Contract(
        "confusions",
        "evaluate",
        "Each piece of a true person in the wrong place, with its sources and what sets its records apart.",
        ("kind", "true_person_id", "person_id"),
        (
            required(
                "kind", TEXT, "split: a piece astray from its true person; merged: in somebody else's person"
            ),
            required("true_person_id", TEXT, "the true person whose piece it is"),
            PERSON,
            required(
                "other_id",
                TEXT,
                "split: the person that holds most records of the true person; "
                "merged: the true person of whom the person holds most records",
            ),
            required("n_records", COUNT, "records of the piece"),
            required("n_identities", COUNT, "identities of the piece"),
            required("sources", TEXT, "sources of the piece, in order, joined by +"),
            required("causes", TEXT, "what sets its records apart, in order, joined by +; none: nothing"),
        ),
    ),
)
