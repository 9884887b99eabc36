"""A trained model: written to model.json, and read again to score other data with it."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from miglink.config.stages import ComparisonSettings
from miglink.errors import ConfigError
from miglink.stages.linkage.calibration import Calibration, read_calibration
from miglink.stages.linkage.levels import Comparison, frequency_columns, splink_comparison
from miglink.version import __version__


@dataclass(frozen=True)
class Shared:
    """What families share: how much more often non-matches agree in it than its parts would by chance.

    fields: the comparisons. silent: of some, the condition under which they say nothing. excess: for each pattern of
    their levels (-2 silent, -1 not known, 0 other, the strongest highest) the probability among non-matches beyond the
    product of its parts.
    """

    fields: tuple[str, ...]
    silent: dict[str, str]
    excess: tuple[tuple[tuple[int, ...], float], ...]


@dataclass(frozen=True)
class Given:
    """Fields on which it depends how often strangers agree in another; u of that one's levels where all of them agree.

    u: of each level, the lowest first.
    """

    fields: tuple[str, ...]
    u: tuple[float, ...]


@dataclass(frozen=True)
class Model:
    """A trained model: Splink's settings with every m and u, what was asked to be compared, and how it came about.

    shared: where something is compared that families share; Splink has no such thing. standard_errors: of m and u, by
    comparison and level. given: by comparison, where agreement depends on other fields. calibration: from its weights
    to probabilities. held_out: how its probabilities compare with a number that it was not shown, and which.
    """

    settings: dict[str, Any]
    asked: tuple[ComparisonSettings, ...]
    history: list[dict[str, Any]]
    n_identities: int
    shared: Shared | None = None
    standard_errors: dict[str, Any] | None = None
    given: Mapping[str, Given] | None = None
    calibration: Calibration = dataclasses.field(default_factory=Calibration)
    held_out: dict[str, Any] | None = None


def save_model(path: Path, model: Model, comparisons: Sequence[Comparison], seed: int) -> None:
    """Write model.json: what re-scoring needs and how the parameters came about.

    Frequencies of values are not in it, for they would list names: `frequencies` names the columns whose frequencies
    are counted anew in the data that are scored.
    """
    text = {
        "miglink_version": __version__,
        "comparisons": [entry.model_dump() for entry in model.asked],
        "further_columns": [comparison.field for comparison in comparisons if comparison.is_further],
        "frequencies": {
            "counted_in": "the data that are scored",
            "columns": list(frequency_columns(comparisons)),
            "within": {name: list(given) for name, given in frequency_columns(comparisons).items() if given},
        },
        "settings": model.settings,
        "shared": asdict(model.shared) if model.shared is not None else None,
        "standard_errors": model.standard_errors,
        "given": {name: asdict(given) for name, given in (model.given or {}).items()},
        "calibration": model.calibration.describe(),
        "held_out": model.held_out,
        "n_identities": model.n_identities,
        "seed": seed,
        "history": model.history,
    }
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(text, indent=1, sort_keys=True), encoding="utf-8")
    part.replace(path)


def read_model(path: Path) -> Model:
    """Read the model.json of an earlier run; `path` is the file or the run folder.

    Errors: ConfigError if it is missing, no model, or of another major version of miglink.
    """
    file = path / "model.json" if path.is_dir() else path
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        version = str(found["miglink_version"])
        model = Model(
            found["settings"],
            tuple(
                ComparisonSettings.model_validate_json(json.dumps(entry)) for entry in found["comparisons"]
            ),
            [*found["history"]],
            int(found["n_identities"]),
            _read_shared(found.get("shared")),
            found.get("standard_errors"),
            {
                name: Given(tuple(given["fields"]), tuple(float(u) for u in given["u"]))
                for name, given in found.get("given", {}).items()
            },
            read_calibration(found.get("calibration")),
        )
        _ = model.settings["comparisons"], model.settings["probability_two_random_records_match"]
    except OSError as error:
        raise ConfigError(
            f"linkage.model: {file} cannot be read: {error.strerror}; name the model.json of a run, or its folder"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"linkage.model: {file} is no model of this version; name the model.json that a run of miglink "
            f"{__version__} has written, or train anew"
        ) from None
    if version.partition(".")[0] != __version__.partition(".")[0]:
        raise ConfigError(
            f"linkage.model: {file} was trained with miglink {version}, this is {__version__}: levels may mean "
            "something else; train anew"
        )
    return model


def _read_shared(found: dict[str, Any] | None) -> Shared | None:
    if found is None:
        return None
    excess = tuple((tuple(int(level) for level in levels), float(p)) for levels, p in found["excess"])
    return Shared(tuple(found["fields"]), dict(found["silent"]), excess)


def check_model(model: Model, comparisons: Sequence[Comparison]) -> None:
    """Whether a model compares what the configuration compares, in the same levels.

    Errors: ConfigError that says what differs.
    """
    saved = {entry["output_column_name"]: entry for entry in model.settings["comparisons"]}
    wanted = {comparison.field: splink_comparison(comparison) for comparison in comparisons}
    problems = []
    if list(saved) != list(wanted):
        problems.append(
            f"linkage.model: it compares {', '.join(saved)}, the configuration {', '.join(wanted)}; "
            "name the same under `linkage.comparisons`, in this order, or train anew"
        )
    for field in (field for field in wanted if field in saved):
        ours, theirs = _levels(wanted[field]), _levels(saved[field])
        if [label for label, _ in ours] != [label for label, _ in theirs]:
            told = "; ".join(label for label, _ in theirs)
            problems.append(
                f"linkage.model: its levels of {field!r} are {told}; the configuration has "
                f"{'; '.join(label for label, _ in ours)}"
            )
        elif ours != theirs:
            changed = [label for (label, a), (_, b) in zip(ours, theirs, strict=True) if a != b]
            problems.append(
                f"linkage.model: in {field!r} it means something else by: {'; '.join(changed)}. Was `unless_same` "
                "another, or names not compared? Else train anew"
            )
    if problems:
        raise ConfigError(*problems)


def _levels(comparison: dict[str, Any]) -> list[tuple[str, tuple[str, str | None]]]:
    """Label, and condition with frequency column, of each level."""
    return [
        (level["label_for_charts"], (level["sql_condition"], level.get("tf_adjustment_column")))
        for level in comparison["comparison_levels"]
    ]
