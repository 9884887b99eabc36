"""How common a value is among persons, for values whose agreement says more the rarer they are."""

import numpy as np

from miglink.engine import Engine, Table

# How many persons of all there are to one of a group where the group says nothing yet: from "as the group has it" to
# "as everybody has it". What suits a column is found in the data.
_PRIOR_PERSONS = tuple(10.0**power for power in range(8))
# Persons, as distinct pairs of name and date of birth: records and identities of a frequent traveller must not make a
# name look common.
_HOLDER = "coalesce(name_words || birth_iso, name_words, CAST(unique_id AS VARCHAR))"


def count_frequencies(engine: Engine, identities: Table, column: str, given: tuple[str, ...] = ()) -> Table:
    """Give the share of other persons who carry each value of a column: `<column>`, `<given>`…, `tf_<column>`.

    Of c persons that carry a value, c − 1 are others. For a value that one person carries it is the expected count of a
    value seen once, 2·N2/N1 (N1, N2: values carried by one and by two), not 0.
    Where `given` names columns (citizenship, sex), a row for each combination that carries the value, and the share is
    that among the persons of the combination: a surname that is rare in the country is common among those who come from
    where it is common. Shares of small groups lean on the share among all: with weight k as if k persons more were
    known, the k that foretells best what the others of a group carry. A combination of which something is not known has
    the share among all.
    `all_<column>` is then the share among all: it is what counts between two who are not of one group, or of whom it is
    not known.
    Source: Good 1953 (frequencies of species seen once); Dirichlet–multinomial with the shares among all as its mean.
    """
    shares = engine.hold(
        f"linkage_frequency_{column}",
        f"""WITH holders AS (
            SELECT {column} AS value, {_HOLDER} AS holder FROM identities WHERE {column} IS NOT NULL),
        counts AS (SELECT value, count(DISTINCT holder) AS n_holders FROM holders GROUP BY value),
        sizes AS (
            SELECT sum(n_holders) AS n_all, count(*) FILTER (WHERE n_holders = 1) AS n_once,
                   count(*) FILTER (WHERE n_holders = 2) AS n_twice
            FROM counts)
        SELECT value AS {column},
               greatest(n_holders - 1, least(1.0, 2.0 * greatest(n_twice, 1) / greatest(n_once, 1))) / n_all
                   AS tf_{column}
        FROM counts CROSS JOIN sizes""",
        identities=identities,
    )
    return _within_groups(engine, identities, shares, column, given) if given else shares


def _within_groups(
    engine: Engine, identities: Table, shares: Table, column: str, given: tuple[str, ...]
) -> Table:
    names = ", ".join(given)
    known = " AND ".join(f"{name} IS NOT NULL" for name in given)
    counts = engine.hold(
        f"linkage_counts_{column}",
        f"""WITH holders AS (
            SELECT {column}, {names}, {_HOLDER} AS holder FROM identities WHERE {column} IS NOT NULL),
        counts AS (
            SELECT {column}, {names}, CAST(count(DISTINCT holder) AS DOUBLE) AS n FROM holders
            GROUP BY {column}, {names})
        SELECT c.*, CASE WHEN {known} THEN sum(n) OVER (PARTITION BY {names}) END AS n_group, s.tf_{column} AS share
        FROM counts c JOIN shares s ON s.{column} = c.{column}""",
        identities=identities,
        shares=shares,
    )
    prior = _best_prior(engine, counts)
    return engine.hold(
        f"linkage_frequency_{column}_given",
        f"""SELECT {column}, {names},
            CASE WHEN n_group IS NULL THEN share ELSE (n - 1 + {prior!r} * share) / (n_group - 1 + {prior!r}) END
                AS tf_{column}, share AS all_{column}
        FROM counts""",
        counts=counts,
    )


def _best_prior(engine: Engine, counts: Table) -> float:
    """The weight of the share among all that best foretells what a person carries from the others of the group."""
    likelihoods = ", ".join(
        f"coalesce(sum(n * ln((n - 1 + {prior!r} * share) / (n_group - 1 + {prior!r}))), 0) AS p_{index}"
        for index, prior in enumerate(map(float, _PRIOR_PERSONS))
    )
    found = engine.collect(f"SELECT {likelihoods} FROM counts WHERE n_group IS NOT NULL", counts=counts)
    # Sums of many small numbers differ in their last digits from run to run.
    return float(_PRIOR_PERSONS[int(np.argmax([float(f"{value:.9g}") for value in found.row(0)]))])
