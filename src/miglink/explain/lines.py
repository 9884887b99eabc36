"""What the explanation of a person consists of: one class for each kind of line, and the whole."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """One record. It is numbered within its source in the order of time; record_id is given with values only."""

    date: str | None
    source: str
    number: int
    record_id: str | None
    kind: str
    identity: int
    direction: str | None
    port: str | None
    purpose: str | None
    country_from_to: str | None
    reason: str | None
    domain: str | None
    valid_from: str | None
    valid_to: str | None
    ended_date: str | None
    end_reason: str | None
    notes: str | None
    is_repeat: bool


@dataclass(frozen=True)
class Identity:
    """One identity, numbered in the order of time, and the strongest link that joins it to one before it.

    values holds its fields, with values only.
    """

    number: int
    identity_id: str
    n_records: int
    sources: tuple[str, ...]
    first_date: str | None
    last_date: str | None
    joined_to: int | None
    blocking_rule: str | None
    match_weight: float | None
    p_match: float | None
    values: Mapping[str, str] | None


@dataclass(frozen=True)
class Neighbour:
    """Another person to whom links lead that were not accepted, or were accepted and then cut by a conflict."""

    person_id: str
    n_links: int
    n_not_accepted: int
    p_match: float
    outcome: str


@dataclass(frozen=True)
class Trait:
    """A trait while it holds; no valid_from: from the beginning."""

    trait: str
    value: str
    valid_from: str | None
    valid_to: str | None
    source: str


@dataclass(frozen=True)
class Contradiction:
    """A row of `conflicts` that concerns the person."""

    kind: str
    detail_l: str | None
    detail_r: str | None
    winner: str


@dataclass(frozen=True)
class Spell:
    """A spell, half-open; where a crossing is missing within it, the days between which that must lie."""

    sequence: int
    start_date: str
    end_date: str | None
    state: str
    start_basis: str
    start_direction: str
    start_source: str | None
    start_number: int | None
    end_basis: str
    earliest_date: str | None
    latest_date: str | None
    likely_date: str | None


@dataclass(frozen=True)
class Disbelief:
    """Evidence of a stay in doubt that is not believed, the evidence that is, and a record of each by its number."""

    sequence: int
    since_date: str
    loser: str
    loser_says: str
    loser_source: str
    loser_number: int
    winner: str
    winner_source: str
    winner_number: int


@dataclass(frozen=True)
class Status:
    """The status under a rule and a policy, in force from the end of from_date to the end of to_date."""

    rule: str
    policy: str
    from_date: str
    to_date: str | None
    status: str
    basis: str
    status_final_date: str | None
    end_reason: str | None


@dataclass(frozen=True)
class Migration:
    """A crossing that is, or may become, a migration, and the month in which it is counted."""

    rule: str
    policy: str
    event_date: str
    direction: str
    outcome: str
    is_implied: bool
    counted_month: str
    migration_final_date: str | None
    other_country: str | None
    purpose: str | None


@dataclass(frozen=True)
class PersonExplanation:
    """All that is known of a person.

    Without values a day that is, or adjoins, that of a birth or of its registration is the year alone.
    """

    person_id: str
    birth: str | None
    is_born_here: bool
    death_date: str | None
    mother_person_id: str | None
    is_doubtful: bool
    id_since_date: str
    accept_p_match: float
    certain_p_match: float
    weakest_p_match: float | None
    stages_not_run: tuple[str, ...]
    records: tuple[Record, ...]
    identities: tuple[Identity, ...]
    neighbours: tuple[Neighbour, ...]
    traits: tuple[Trait, ...]
    conflicts: tuple[Contradiction, ...]
    spells: tuple[Spell, ...]
    contradictions: tuple[Disbelief, ...]
    residence: tuple[Status, ...]
    migrations: tuple[Migration, ...]
