"""What draws give, before it is written."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from miglink.engine import Table
from miglink.stages.residence.draws.case import Case
from miglink.stages.residence.draws.follow_up import FollowUp


@dataclass(frozen=True)
class Drawn:
    """The draws under one rule and policy, by numbers of persons in draws.

    whose: person_key, owner_key, draw. statuses, moves: as `find_drawn_statuses` gives them. follow_up: the model
    of unfinished crossings. asked: its finest cells that were asked of, with n_open.
    """

    case: Case
    doubts: Table
    whose: Table
    statuses: Sequence[Table]
    moves: Sequence[Table]
    follow_up: FollowUp
    asked: pl.DataFrame
