"""`miglink explain`: why two records were or were not linked, and one person from records to status.

What it prints stays inside, like the run folder. Without values it holds no name, document, person number, date of
birth or record_id. It does name identities by the beginning of their ids, which are hashes of a person's fields:
whoever knows all of these could recognise one.
"""

import dataclasses
import json

from miglink.explain.histories import explain_person
from miglink.explain.lines import PersonExplanation
from miglink.explain.pairs import PairExplanation, explain_pair
from miglink.explain.report_histories import render_person
from miglink.explain.report_pairs import render_pair

__all__ = [
    "PairExplanation",
    "PersonExplanation",
    "explain_pair",
    "explain_person",
    "pair_as_json",
    "person_as_json",
    "render_pair",
    "render_person",
]


def pair_as_json(found: PairExplanation) -> str:
    """The explanation of a pair as JSON: the fields of its dataclass by name."""
    return json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=False)


def person_as_json(found: PersonExplanation) -> str:
    """The explanation of a person as JSON: the fields of its dataclass by name, dates as text."""
    return json.dumps(dataclasses.asdict(found), indent=2, ensure_ascii=False)
