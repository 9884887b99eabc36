"""The contract of the table of mobility that is no migration."""

from miglink.tables.contract import COUNT, POLICY, RULE, TEXT, VINTAGE, Contract, required

MOBILITY_TABLES = (
    Contract(
        "mobility",
        "estimates",
        "Mobility beyond migration: short stays, trips, circular migrants, commuters, days above a limit.",
        ("rule", "policy", "period", "measure", "duration", "purpose", "citizenship_group"),
        (
            RULE,
            POLICY,
            required("period", TEXT, "year (2019) or reference date (2019-01-01)"),
            required(
                "measure",
                TEXT,
                "stays: of non-residents here, that ended in the year. trips: of residents abroad. returns: "
                "immigrations of who emigrated before within the observation. commuters_in, commuters_out: "
                "persons. above_limit: persons with days above the limit of the rule; days_above_limit: their days. "
                "At reference dates: present_non_residents, lived_abroad (residents), circular_migrants",
            ),
            required(
                "duration",
                TEXT,
                "stays and trips: days, the day of departure not counted: 0, 1-29, …, 365+; unknown",
            ),
            required("purpose", TEXT, "stays and trips: stated purpose of the crossing that began them"),
            required("citizenship_group", TEXT, "national, eu, efta, candidate, other, stateless, unknown"),
            required("n_settled", COUNT, "stays, trips, immigrations, persons or days"),
            required(
                "n_undetermined", COUNT, "those that may be, for a status or a missing crossing is open"
            ),
            *VINTAGE,
        ),
        is_aggregate=True,
    ),
)
