"""How counts are protected before they leave the run folder."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from miglink.config.models import Section

Protected = Literal[
    "stocks",
    "flows",
    "accounts",
    "stock_differences",
    "flow_differences",
    "mobility",
    "expired_stays",
    "quality",
]


class ProtectionSettings(Section):
    """Disclosure control of the counts in outputs/ and of the printed summary; tables/ and linked/ stay as they are."""

    method: Literal["none", "random_rounding", "rounding", "cell_key"] = "none"
    """none: counts leave as they are. random_rounding: to one of the two multiples of `base` beside the count, so that
    it is right on average; multiples stay. rounding: to the nearest multiple of `base`, halves up. cell_key: noise from
    `ptable`, the same for the same persons wherever stocks and flows count them. More in docs/protection.md."""
    base: int | None = Field(default=None, ge=2, le=1000)
    """What counts are rounded to multiples of. Default: 3 for random_rounding, 10 for rounding."""
    ptable: Path | None = None
    """cell_key: the noise by count and key, CSV with columns pcv, ckey, pvalue as those of ONS. Default: at most 2 up
    or down, none on average, zeros stay."""
    minimum_count: int | None = Field(default=None, ge=2)
    """Counts that are less than this after rounding or noise, and not 0, are suppressed."""
    tables: tuple[Protected, ...] | None = Field(default=None, min_length=1)
    """Tables of outputs/ in a protected run; default: all that the method can protect."""

    @model_validator(mode="after")
    def _settings_fit_method(self) -> "ProtectionSettings":
        if self.base is not None and self.method not in ("random_rounding", "rounding"):
            raise ValueError(f"base: has no meaning with `method: {self.method}`; leave it out")
        if self.ptable is not None and self.method != "cell_key":
            raise ValueError(f"ptable: has no meaning with `method: {self.method}`; leave it out")
        if self.minimum_count is not None and not self.is_on:
            raise ValueError("minimum_count: has no meaning with `method: none`; name a method")
        if self.tables is not None and len(set(self.tables)) < len(self.tables):
            raise ValueError("tables: one is given twice")
        return self

    @property
    def is_on(self) -> bool:
        """Whether counts are protected at all."""
        return self.method != "none"

    @property
    def rounding_base(self) -> int:
        """What counts are multiples of; 1 where the method does not round."""
        by_method = {"random_rounding": 3, "rounding": 10}
        return self.base or by_method.get(self.method, 1)
