"""The contracts of the tables of lists: who is in a census, survey or enrolment list, by migratory status."""

from miglink.tables.contract import (
    COUNT,
    DATE,
    FLAG,
    NUMBER,
    PERSON,
    POLICY,
    RECORD,
    RULE,
    TEXT,
    VINTAGE,
    Column,
    Contract,
    required,
)

_STATUS = (
    "residents: foreign_born_foreigner, native_born_foreigner, foreign_born_citizen, native_born_citizen, "
    "native_born_returnee (a citizen, too), origin_unknown. Others: temporary (not resident, present), non_resident, "
    "undetermined, unknown (see reason)"
)
_REASON = (
    "not_linked (the person stands in lists of people alone), no_reference_date, not_observed (it lies outside the "
    "period), not_covered (the rule gives no status at it), no_status (by other records not born yet, or dead)"
)

LIST_TABLES = (
    Contract(
        "listed_people",
        "estimates",
        "Migratory status of each record of a source of kind people at its reference date, under each rule and policy.",
        ("source", "record_id", "rule", "policy"),
        (
            *RECORD,
            RULE,
            POLICY,
            PERSON,
            required(
                "record_number",
                "INTEGER",
                "number of the record among those of the person in the list, from 1; above 1 the list has the person "
                "more than once",
            ),
            Column(
                "reference_date",
                DATE,
                "the day the list speaks of; the status is that at the end of the day before, as in stocks",
            ),
            required("weight", NUMBER, "persons that the record stands for; 1 where the list has no weights"),
            required(
                "residence_status",
                TEXT,
                "resident, non_resident, undetermined; unknown: nothing tells it, see reason",
            ),
            Column("reason", TEXT, f"why the status is unknown: {_REASON}; null where it is not"),
            required(
                "is_final",
                FLAG,
                "the status is settled, and no later crossing can change it",
            ),
            required("migratory_status", TEXT, f"one group for each record. Of {_STATUS}"),
            required("birth_group", TEXT, "native, foreign (born) or unknown"),
            required(
                "citizenship_group",
                TEXT,
                "that of the day before the reference date, with the composition of 1 January of the year: national, "
                "eu, efta, candidate, other, stateless, unknown",
            ),
            Column("is_foreign_born", FLAG, "born abroad; null where the country of birth is not known"),
            Column("is_foreign_citizen", FLAG, "not a national on that day; null where that is not known"),
            Column(
                "years_since_immigration",
                "INTEGER",
                "residents: completed years since the last settled immigration under the rule; null where the "
                "observation has none",
            ),
            Column(
                "years_since_first_arrival",
                "INTEGER",
                "residents: completed years since the first arrival to live here that is known, an immigration under "
                "the rule or a registration by arrival; null where there is none",
            ),
            Column(
                "is_returnee",
                FLAG,
                "resident, native-born or a national when coming, who was a non-resident earlier; null where that is "
                "not known",
            ),
            Column(
                "is_circular",
                FLAG,
                "a circular migrant, as in mobility; null where undetermined migrations leave it open",
            ),
            Column(
                "is_temporary",
                FLAG,
                "not resident, and present; null where the status is open, or the presence not seen",
            ),
        ),
        open_columns=True,
    ),
    Contract(
        "list_status",
        "estimates",
        "Records and weights of each source of kind people by migratory status; those of a rule and policy add up to "
        "the whole list.",
        ("source", "period", "rule", "policy", "migratory_status", "reason"),
        (
            required("source", TEXT, "name of the list"),
            required(
                "period",
                TEXT,
                "reference date (2019-03-31); where the list has several, their year (2019); unknown without one",
            ),
            RULE,
            POLICY,
            required("migratory_status", TEXT, f"of {_STATUS}"),
            required("reason", TEXT, f"of unknown: {_REASON}; none of the others"),
            required("n", COUNT, "records"),
            required("weight", NUMBER, "sum of the weights of these records, rounded to 6 decimals"),
            *VINTAGE,
        ),
        is_aggregate=True,
    ),
)
