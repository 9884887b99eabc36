"""Calibration: from match weights to probabilities that hold among the pairs that clerks have judged."""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from miglink.engine import Engine, Table

Numbers = NDArray[np.float64]
# Fewer judged pairs than these leave the model as it is.
_FEWEST_JUDGED = 30
# How far judgements are expected to be from the model before they are seen: standard deviations of the intercept (log
# odds, so that the model's odds are within a factor of 50 of the true ones) and of the logarithm of the slope (a weight
# counts half to twice as much). As much as the published clerical reviews of such scores have found.
_INTERCEPT_SD, _LOG_SLOPE_SD = 2.0, 0.35
_MOST_STEPS = 100


@dataclass(frozen=True)
class Calibration:
    """log odds = intercept + slope × log odds of the model, within the match weights that were judged.

    Beyond from_weight and to_weight the model's own slope goes on from where the line ends. method: `model` leaves the
    model's probabilities, `judgements` fits them. n_judged counts judged pairs with a score, n_effective what they are
    worth given their weights (Kish); is_weighted: whether they carry weights of a sampling design, for without them
    they are taken for a random sample of the pairs.
    """

    method: Literal["model", "judgements"] = "model"
    intercept: float = 0.0
    slope: float = 1.0
    from_weight: float = 0.0
    to_weight: float = 0.0
    n_judged: int = 0
    n_effective: float = 0.0
    is_weighted: bool = False
    intercept_error: float | None = None
    slope_error: float | None = None
    errors_correlation: float | None = None

    def weight_sql(self, weight: str) -> str:
        """The calibrated match weight (log2 of the odds) of a match weight; it rises with it."""
        if self.method == "model":
            return weight
        start, end = _number(self.from_weight), _number(self.to_weight)
        shift = f"{_number(self.intercept / math.log(2))} + {_number(self.slope - 1)}"
        return f"({weight} + {shift} * greatest({start}, least({end}, {weight})))"

    def probability_sql(self, weight: str) -> str:
        """The calibrated probability of a match weight."""
        return f"1 / (1 + pow({_number(2)}, -{self.weight_sql(weight)}))"

    def describe(self) -> dict[str, Any]:
        """As model.json keeps it."""
        return asdict(self)


def read_calibration(found: dict[str, Any] | None) -> Calibration:
    """The calibration of a saved model; a model from before there was any leaves its probabilities as they are."""
    calibration = Calibration(**found) if found is not None else Calibration()
    if calibration.method not in ("model", "judgements") or not calibration.slope > 0:
        raise ValueError("no calibration")
    return calibration


def calibrate(
    engine: Engine, prepared: Table, scored: Table, reviewed: tuple[Table, Table], earlier: Calibration | None
) -> Calibration:
    """Fit the calibration to judged pairs; with fewer than 30 of them that of an earlier model stays, or the model.

    Reads: prepared identities, scored pairs, and `reviewed`: judgements and record_identities. Judgements say match or
    non_match of pairs of records; they count for the pairs of identities that the model scored, with their sampling
    weight if the table has one.
    """
    judged = _judged_pairs(engine, prepared, scored, reviewed)
    weights, is_match, sampling = (judged[:, column] for column in range(3))
    if len(weights) < _FEWEST_JUDGED:
        return replace(earlier or Calibration(), n_judged=(earlier.n_judged if earlier else len(weights)))
    intercept, log_slope, covariance = fit_line(weights * math.log(2), is_match, sampling)
    slope, errors = math.exp(log_slope), np.sqrt(np.diag(covariance))
    return Calibration(
        "judgements",
        _digits(intercept),
        _digits(slope),
        _digits(float(weights.min())),
        _digits(float(weights.max())),
        len(weights),
        _digits(_worth(sampling)),
        bool((sampling != sampling[0]).any()),
        _digits(errors[0]),
        _digits(errors[1] * slope),
        _digits(covariance[0, 1] / (errors[0] * errors[1])),
    )


def describe_curve(model_path: Path) -> dict[str, float]:
    """What is known of the error of p_calibrated, for draws of it: as `Curve` of stage persons has it.

    Fitted to judgements: the standard errors of that fit, and the log odds between which it holds. Else what is
    expected before there are any. Standard errors of m and u are not added: they are those of the sample alone, and
    small beside what the model leaves out.
    """
    found = json.loads(model_path.read_text(encoding="utf-8")) if model_path.exists() else {}
    fitted = read_calibration(found.get("calibration"))
    if fitted.method == "model" or fitted.intercept_error is None or fitted.slope_error is None:
        return {"intercept_error": _INTERCEPT_SD, "log_slope_error": _LOG_SLOPE_SD}
    ends = (fitted.from_weight, fitted.to_weight)
    start, end = (fitted.intercept + fitted.slope * math.log(2) * weight for weight in ends)
    return {
        "intercept": fitted.intercept,
        "from_log_odds": start,
        "to_log_odds": end,
        "intercept_error": fitted.intercept_error,
        "log_slope_error": fitted.slope_error / fitted.slope,
        "correlation": fitted.errors_correlation or 0.0,
    }


def _judged_pairs(engine: Engine, prepared: Table, scored: Table, reviewed: tuple[Table, Table]) -> Numbers:
    """match_weight, is_match (0 or 1) and sampling weight of each judged pair of identities, in order of the pairs.

    Where clerks judged several pairs of records of one pair of identities, weights add up and verdicts are averaged.
    """
    judgements, record_identities = reviewed
    if not engine.count(judgements):
        return np.empty((0, 3))
    columns = engine.collect("SELECT * FROM judgements LIMIT 0", judgements=judgements).columns
    sampling = "coalesce(j.sampling_weight, 1)" if "sampling_weight" in columns else "1"
    found = engine.collect(
        f"""WITH judged AS (
            SELECT least(x.unique_id, y.unique_id) AS a, greatest(x.unique_id, y.unique_id) AS b,
                   CASE WHEN j.verdict = 'match' THEN CAST(1 AS DOUBLE) ELSE CAST(0 AS DOUBLE) END AS is_match,
                   CAST({sampling} AS DOUBLE) AS sampling
            FROM judgements j
            JOIN record_identities l ON l.source = j.source_l AND l.record_id = j.record_id_l
            JOIN record_identities r ON r.source = j.source_r AND r.record_id = j.record_id_r
            JOIN prepared x ON x.identity_id = l.identity_id JOIN prepared y ON y.identity_id = r.identity_id
            WHERE j.verdict IN ('match', 'non_match') AND l.identity_id <> r.identity_id),
        pairs AS (
            SELECT a, b, sum(is_match * sampling) / sum(sampling) AS is_match, sum(sampling) AS sampling
            FROM judged WHERE sampling > 0 GROUP BY a, b)
        SELECT s.match_weight, p.is_match, p.sampling FROM pairs p
        JOIN scored s ON s.unique_id_l = p.a AND s.unique_id_r = p.b ORDER BY p.a, p.b""",
        judgements=judgements,
        record_identities=record_identities,
        prepared=prepared,
        scored=scored,
    )
    return np.asarray(found.to_numpy(), dtype=np.float64).reshape(-1, 3)


def fit_line(log_odds: Numbers, is_match: Numbers, sampling: Numbers) -> tuple[float, float, Numbers]:
    """Intercept and logarithm of the slope by weighted logistic regression, drawn towards 0; and their covariance.

    maximises Σ v [y log p + (1 − y) log(1 − p)] − a²/(2·2²) − c²/(2·0.35²), log odds of p = a + e^c x: the slope is
    never negative, and few judgements leave the model nearly as it is. Weights v add up to the effective number of
    pairs (Kish), so that a few heavy ones do not pass for many.
    Source: Platt 1999 (probabilities from scores by a logistic line); Kish 1965 (effective sample size).
    """
    x = np.clip(log_odds, -40.0, 40.0)
    v = sampling * (_worth(sampling) / sampling.sum())
    penalty = np.array([1 / _INTERCEPT_SD**2, 1 / _LOG_SLOPE_SD**2])
    at = np.zeros(2)
    for _ in range(_MOST_STEPS):
        gradient, information = _slopes(x, is_match, v, at)
        step = np.linalg.solve(information + np.diag(penalty), gradient - penalty * at)
        at = at + np.clip(step, -0.5, 0.5)
        if float(np.abs(step).max()) < 1e-10:
            break
    _, information = _slopes(x, is_match, v, at)
    covariance = np.linalg.inv(information + np.diag(penalty))
    return float(at[0]), float(at[1]), np.asarray(covariance, dtype=np.float64)


def _slopes(x: Numbers, is_match: Numbers, v: Numbers, at: Numbers) -> tuple[Numbers, Numbers]:
    """Gradient and expected information of the weighted likelihood."""
    slope = math.exp(float(at[1]))
    p = 1 / (1 + np.exp(-np.clip(at[0] + slope * x, -500.0, 500.0)))
    design = np.column_stack([np.ones_like(x), slope * x])
    return design.T @ (v * (is_match - p)), design.T @ (design * (v * p * (1 - p))[:, None])


def _worth(sampling: Numbers) -> float:
    return float(sampling.sum() ** 2 / (sampling**2).sum())


def _digits(value: float) -> float:
    return float(f"{value:.9g}")


def _number(value: float) -> str:
    """A number as double precision: bare literals are decimals, which are slow and lose digits."""
    return f"CAST('{float(value)!r}' AS DOUBLE)"
