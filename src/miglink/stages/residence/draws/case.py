"""What draws start from: all that was decided under one rule and policy."""

from dataclasses import dataclass

from miglink.config.rules import MissingCrossings
from miglink.engine import Table
from miglink.stages.residence.classification import ForwardRule


@dataclass(frozen=True)
class Case:
    """What was decided under one rule and policy, of all persons observed over one window.

    travellers: one row for each person, with the first status; statuses and changes as they were found.
    """

    rule: ForwardRule
    policy: MissingCrossings
    people: Table
    chain: Table
    expectations: Table
    travellers: Table
    statuses: Table
    changes: Table

    @property
    def name(self) -> str:
        """The beginning of the names of its scratch tables."""
        return f"residence_draws_{self.rule.name}_{self.policy}"
