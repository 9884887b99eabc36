"""How counts are protected before they leave the run folder."""

from collections.abc import Mapping
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
    "list_status",
    "expired_stays",
    "quality",
    "shells",
]
# What a method can protect that does not protect all: the other tables add up with these.
POSSIBLE: Mapping[str, tuple[Protected, ...]] = {
    "suppression": ("stocks", "flows", "mobility", "expired_stays", "quality"),
    "controlled_rounding": ("stocks", "flows", "mobility", "list_status", "expired_stays", "quality"),
}


class ProtectionSettings(Section):
    """Disclosure control of the counts in outputs/ and of the printed summary; tables/ and linked/ stay as they are."""

    method: Literal[
        "none", "random_rounding", "rounding", "controlled_rounding", "cell_key", "suppression"
    ] = "none"
    """none: counts leave as they are. random_rounding: to one of the two multiples of `base` beside the count, so that
    it is right on average; multiples stay. rounding: to the nearest multiple of `base`, halves up. controlled_rounding:
    to one of the two multiples beside the count, as near to it as can be while totals stay the sums of their parts;
    needs the extra `sdc`. cell_key: noise from `ptable`, the same for the same persons wherever stocks and flows count
    them. suppression: counts from 1 up to below `minimum_count` are left out, and others with them. More in
    docs/protection.md."""
    base: int | None = Field(default=None, ge=2, le=1000)
    """What counts are rounded to multiples of. Default: 3 for random_rounding, 10 for rounding; controlled_rounding
    has none."""
    ptable: Path | None = None
    """cell_key: the noise by count and key, CSV with columns pcv, ckey, pvalue as those of ONS. Default: at most 2 up
    or down, none on average, zeros stay."""
    minimum_count: int | None = Field(default=None, ge=2)
    """Counts that are less than this, and not 0, are suppressed: under `suppression` those of the data, else those that
    are so after rounding or noise."""
    secondary: Literal["suppression", "none"] = "suppression"
    """suppression: under `suppression`, counts of stocks and flows beside the small ones are suppressed too, until none
    of these can be computed from totals. none: the small ones alone, which totals may give away."""
    tables: tuple[Protected, ...] | None = Field(default=None, min_length=1)
    """Tables of outputs/ in a protected run, `shells` for all of `publish.tables`; default: all that the method can
    protect."""

    @model_validator(mode="after")
    def _settings_fit_method(self) -> "ProtectionSettings":
        if self.base is not None and self.method not in (
            "random_rounding",
            "rounding",
            "controlled_rounding",
        ):
            raise ValueError(f"base: has no meaning with `method: {self.method}`; leave it out")
        if self.ptable is not None and self.method != "cell_key":
            raise ValueError(f"ptable: has no meaning with `method: {self.method}`; leave it out")
        if self.method == "suppression":
            if self.minimum_count is None:
                raise ValueError(
                    "minimum_count: `method: suppression` needs it; say which counts are small, such as 5"
                )
        elif self.secondary != "suppression":
            raise ValueError(f"secondary: has no meaning with `method: {self.method}`; leave it out")
        if self.method == "controlled_rounding":
            if self.base is None:
                raise ValueError("base: `method: controlled_rounding` needs it; say which, such as 5")
            if self.minimum_count is not None:
                raise ValueError(
                    "minimum_count: has no meaning with `method: controlled_rounding`; totals would give away what it "
                    "suppresses"
                )
        if self.minimum_count is not None and not self.is_on:
            raise ValueError("minimum_count: has no meaning with `method: none`; name a method")
        possible = POSSIBLE.get(self.method, self.tables or ())
        impossible = [name for name in self.tables or () if name not in possible]
        if impossible:
            raise ValueError(
                f"tables: {', '.join(impossible)} cannot be published with `method: {self.method}`; its counts add up, "
                f"be it with those of stocks and flows. Possible are {', '.join(possible)}"
            )
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
