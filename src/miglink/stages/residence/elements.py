"""The elements of a history: crossings on record, and between two of one direction the one that is missing."""

from typing import Literal

from miglink.config.rules import MissingCrossings
from miglink.engine import Engine, Table

# drawn: on the day that a draw has given as the likely one; like a crossing on record it may be a migration.
Placement = MissingCrossings | Literal["drawn"]
_MIDPOINT = "COALESCE(likely_day, day + CAST(FLOOR((gap_day - day) / 2.0) AS BIGINT))"
# Where the missing crossing lies on the timelines of least and of most presence, between the crossings on `day` and
# `gap_day`. After an arrival it is a departure that is missing.
_PLACES: dict[Placement, tuple[str, str]] = {
    "unresolved": (
        "CASE WHEN is_arrival THEN day ELSE gap_day END",
        "CASE WHEN is_arrival THEN gap_day ELSE day END",
    ),
    "midpoint": (_MIDPOINT, _MIDPOINT),
    "open_until_next": ("gap_day", "gap_day"),
    # Only after an arrival is there a visa to speak of.
    "visa_end": (f"CASE WHEN visa_end_day IS NULL THEN {_MIDPOINT} ELSE LEAST(visa_end_day, gap_day) END",)
    * 2,
    "drawn": ("likely_day", "likely_day"),
}


def presumed_day(policy: MissingCrossings) -> str:
    """SQL for the day on which a policy that dates a missing crossing of the chain dates it."""
    return _PLACES[policy][0]


def find_elements(engine: Engine, chain: Table, policy: Placement) -> Table:
    """Turn each person's crossings into elements with their days on the timelines of least and most presence.

    Chain: person_key, position, day, is_arrival, is_crossing, gap_day, likely_day (null: the middle), is_by_evidence;
    for `visa_end` also visa_end_day (null: no visa was in force on an arrival).
    Only under `unresolved`, and where it is drawn, may a missing crossing itself be a migration (`is_in_chain`); the
    other policies use it to count days. Under `reject_person` persons with a missing crossing have no elements.
    """
    recorded = """
        SELECT person_key, position, 2 * position AS place, is_arrival, day AS day_min, day AS day_max,
               FALSE AS is_implied, TRUE AS is_in_chain
        FROM chain WHERE is_crossing"""
    if policy == "reject_person":
        return engine.step(
            "residence_elements",
            f"""{recorded} AND person_key NOT IN (
                SELECT person_key FROM chain WHERE gap_day IS NOT NULL AND NOT is_by_evidence)""",
            chain=chain,
        )
    least, most = _PLACES[policy]
    return engine.step(
        "residence_elements",
        f"""
        {recorded}
        UNION ALL
        SELECT person_key, position, 2 * position + 1 AS place, NOT is_arrival AS is_arrival,
               {least} AS day_min, {most} AS day_max,
               TRUE AS is_implied, {policy in ("unresolved", "drawn")} AS is_in_chain
        FROM chain WHERE gap_day IS NOT NULL
        """,
        chain=chain,
    )
