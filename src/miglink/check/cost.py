"""What a run will take: seconds of each stage and peak memory, from constants measured by benchmarks/predict.py."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from miglink.check.findings import Cost, StageCost

# What the seconds and bytes of each stage grow with; the constants are non-negative, one for each.
DRIVERS: dict[str, tuple[str, ...]] = {
    "ingest": ("records",),
    "identities": ("records",),
    "linkage": ("identities", "pairs"),
    "persons": ("records", "identities"),
    "spells": ("records",),
    "residence": ("classified",),
    "estimates": ("classified",),
    "quality": ("records",),
    "publish": ("records", "classified"),
}
# Peak memory is that of the process up to the end of a stage: it never falls.
MEMORY_DRIVERS = ("records",)
_DEFAULT_LIMIT_SHARE = 0.8
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True)
class Size:
    """How large a run is. classified: crossings times rules times policies."""

    records: int
    identities: int
    pairs: int
    classified: int

    def amounts(self) -> dict[str, float]:
        """The drivers of the model, with the constant."""
        named = {"records": self.records, "identities": self.identities, "pairs": self.pairs}
        return {"constant": 1.0, **named, "classified": self.classified}


def read_constants() -> dict[str, Any]:
    """The measured constants, with when and on what they were measured."""
    text = (files("miglink.check") / "cost.json").read_text(encoding="utf-8")
    constants: dict[str, Any] = json.loads(text)
    return constants


def predict_cost(size: Size, stages: tuple[str, ...], memory_limit: str | None) -> Cost:
    """Predict seconds by stage and peak memory so far; the engine spills to disk beyond its limit.

    Seconds and bytes are sums of a constant and amounts times constants, each non-negative. Units: seconds, bytes.
    """
    constants = read_constants()
    limit = limit_bytes(memory_limit)
    amounts = size.amounts()
    costs = []
    peak = 0
    for stage in stages:
        seconds = _weighted(constants["stages"][stage]["seconds"], amounts)
        peak = max(peak, round(_weighted(constants["stages"][stage]["peak_memory_bytes"], amounts)))
        costs.append(StageCost(stage, round(seconds, 1), min(peak, limit)))
    measured = constants["measured"]
    return Cost(
        seconds=round(sum(cost.seconds for cost in costs), 1),
        peak_memory_bytes=min(peak, limit),
        memory_limit_bytes=limit,
        stages=tuple(costs),
        measured_on=f"{measured['cores']} cores, {measured['memory_bytes'] / 1e9:.0f} GB of memory",
        n_cores=int(measured["cores"]),
        measured_date=measured["date"],
        measured_rows=(int(measured["records"][0]), int(measured["records"][1])),
        worst_error=float(measured["worst_error"]),
        was_busy=any(load is not None and load > 1 for load in measured["loads_before"]),
    )


def _weighted(weights: Mapping[str, float], amounts: Mapping[str, float]) -> float:
    return sum(weight * amounts[name] for name, weight in weights.items())


def limit_bytes(memory_limit: str | None) -> int:
    """The memory that the engine may use, such as 4GB; without a limit, 80 % of the machine's."""
    if memory_limit is None:
        return round(_machine_bytes() * _DEFAULT_LIMIT_SHARE)
    text = memory_limit.strip().upper().removesuffix("B")
    is_binary = text.endswith("I")
    text = text.removesuffix("I")
    number = text.rstrip("".join(_UNITS))
    unit = text.removeprefix(number)
    factor = 1024 ** list(_UNITS).index(unit) if is_binary else _UNITS[unit]
    return round(float(number) * factor)


def _machine_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows does not say
        return 8 * 2**30
