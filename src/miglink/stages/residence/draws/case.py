"""What draws start from: all that was decided under one rule and policy."""

from dataclasses import dataclass

from miglink.config.rules import MissingCrossings
from miglink.engine import Table
from miglink.stages.residence.classification import ForwardRule
from miglink.stages.residence.draws.missed import Missed


@dataclass(frozen=True)
class Case:
    """What was decided under one rule and policy, of all persons observed over one window.

    travellers: one row for each person, with the first status; statuses and changes as they were found. crossings: as
    `find_crossings` gives them. missed: where crossings may be hidden; None where a policy says on which day they lie.
    """

    rule: ForwardRule
    policy: MissingCrossings
    people: Table
    chain: Table
    expectations: Table
    travellers: Table
    statuses: Table
    changes: Table
    crossings: Table
    missed: Missed | None

    @property
    def name(self) -> str:
        """The beginning of the names of its scratch tables."""
        return f"residence_draws_{self.rule.name}_{self.policy}"
