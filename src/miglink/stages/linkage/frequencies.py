"""How common a value is among persons, for values whose agreement says more the rarer they are."""

from miglink.engine import Engine, Table


def count_frequencies(engine: Engine, identities: Table, column: str) -> Table:
    """Give the share of other persons who carry each value of a column: `<column>`, `tf_<column>`.

    Records and identities of a frequent traveller must not make a name look common, so persons are counted, as
    distinct pairs of name and date of birth: of c that carry a value, c − 1 are others. For a value that one person
    carries it is the expected count of a value seen once, 2·N2/N1 (N1, N2: values carried by one and by two), not 0.
    Source: Good 1953 (frequencies of species seen once).
    """
    return engine.step(
        f"linkage_frequency_{column}",
        f"""WITH holders AS (
            SELECT {column} AS value,
                   coalesce(name_words || birth_iso, name_words, CAST(unique_id AS VARCHAR)) AS holder
            FROM identities WHERE {column} IS NOT NULL),
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
