"""The whole configuration, its sections in the order in which data flow."""

from datetime import date
from typing import Annotated

from pydantic import Field, model_validator

from miglink.config.draws import DrawsSettings
from miglink.config.mobility import MobilitySettings
from miglink.config.models import Section
from miglink.config.sources import Mapping, Source
from miglink.config.stages import (
    EngineSettings,
    EstimatesSettings,
    IdentitiesSettings,
    KeySettings,
    LinkageSettings,
    Period,
    PersonsSettings,
    PublishSettings,
    ResidenceSettings,
    SpellsSettings,
)


class Config(Section):
    """One run of miglink."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    """Name of the run; the run folder begins with it."""
    engine: EngineSettings = EngineSettings()
    """Where the run computes."""
    period: Period | None = None
    """The days that the sources cover. Needed by the stages from spells on, and by two-digit years."""
    key: KeySettings
    """The secret behind the pseudonyms."""
    countries: dict[str, str] = {}
    """Country codes or names of the sources that no standard has -> alpha-3 codes."""
    sources: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Source] = Field(min_length=1)
    """The files of the agencies, by name."""
    identities: IdentitiesSettings = IdentitiesSettings()
    """What distinguishes identities."""
    linkage: LinkageSettings = LinkageSettings()
    """How identities are compared."""
    persons: PersonsSettings = PersonsSettings()
    """How links become persons."""
    spells: SpellsSettings = SpellsSettings()
    """How crossings become spells."""
    draws: DrawsSettings = DrawsSettings()
    """How the uncertainty of the figures is drawn."""
    residence: ResidenceSettings | None = None
    """Which rules decide who is a usual resident. Needed by the stages from spells on."""
    estimates: EstimatesSettings | None = None
    """What is counted. Needed by the stages from estimates on."""
    mobility: MobilitySettings = MobilitySettings()
    """What is counted of mobility that is no migration."""
    publish: PublishSettings = PublishSettings()
    """What leaves the run folder."""

    @property
    def observation(self) -> Period:
        """The period; where none is given, as for lists that are only linked, all days there are."""
        return self.period or Period.model_validate({"from": date(1, 1, 1), "to": date(9999, 12, 30)})

    @model_validator(mode="after")
    def _two_digit_years_need_a_period(self) -> "Config":
        dates = (
            m for source in self.sources.values() for m in source.columns.values() if isinstance(m, Mapping)
        )
        if self.period is None and any("%y" in form for mapping in dates for form in mapping.formats or ()):
            raise ValueError(
                "period: needed to tell the century of two-digit years (%y); add `period: {from: …, to: …}`"
            )
        return self

    @model_validator(mode="after")
    def _absence_needs_a_list(self) -> "Config":
        if self.residence is None:
            return self
        listed = any(source.covers_population for source in self.sources.values())
        if {"not_registered", "not_listed"} & set(self.residence.initial_status) and not listed:
            raise ValueError(
                "residence.initial_status: `not_registered` and `not_listed` need a register with "
                "`covers_population: true`; who is missing from a partial list may live here all the same"
            )
        return self

    @model_validator(mode="after")
    def _evidence_needs_sources(self) -> "Config":
        if self.residence is None:
            return self
        kinds = {source.kind for source in self.sources.values()}
        for rule in self.residence.rules:
            if rule.evidence_kinds and not kinds & set(rule.evidence_kinds):
                raise ValueError(
                    f"residence.rules: {rule.name} needs a source of kind {' or '.join(rule.evidence_kinds)}; without "
                    "one it has nothing to go by"
                )
        if "visa_end" in self.residence.policies and not kinds & {"visas", "permits"}:
            raise ValueError(
                "residence.policies: `visa_end` needs a source of kind visas or permits; without one it is `midpoint`"
            )
        return self

    @model_validator(mode="after")
    def _table_rules_are_of_the_run(self) -> "Config":
        rules = [rule.name for rule in self.residence.rules] if self.residence else []
        for table, rule in self.publish.table_rules.items():
            if rule not in rules:
                raise ValueError(
                    f"publish.table_rules: {table} is to be made by {rule}, which is none of residence.rules "
                    f"({', '.join(rules) or 'none'})"
                )
        return self

    @model_validator(mode="after")
    def _visas_need_purposes(self) -> "Config":
        if (
            "visa" in self.spells.trust
            and self.residence is not None
            and self.residence.resident_permits is None
        ):
            raise ValueError(
                "spells.trust: `visa` needs `residence.resident_permits`, the purposes that imply residence; a visa "
                "for a visit says nothing of where somebody lives"
            )
        return self

    @model_validator(mode="after")
    def _open_borders_need_other_evidence(self) -> "Config":
        if self.residence is None or self.spells.borders == "recorded":
            return self
        names = [rule.name for rule in self.residence.rules if rule.needs_crossings]
        if names:
            raise ValueError(
                f"residence.rules: with `spells.borders: open` crossings do not tell who is here, and "
                f"{', '.join(names)} cannot do without them; name rules that rest on other evidence, such as "
                "register, or say `borders: recorded`"
            )
        return self
