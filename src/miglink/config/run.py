"""The whole configuration, its sections in the order in which data flow."""

from typing import Annotated

from pydantic import Field, model_validator

from miglink.config.models import Section
from miglink.config.sources import Source
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
    period: Period
    """The days that the sources cover."""
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
    residence: ResidenceSettings
    """Which rules decide who is a usual resident."""
    estimates: EstimatesSettings
    """What is counted."""
    publish: PublishSettings = PublishSettings()
    """What leaves the run folder."""

    @model_validator(mode="after")
    def _absence_needs_a_list(self) -> "Config":
        listed = any(source.covers_population for source in self.sources.values())
        if {"not_registered", "not_listed"} & set(self.residence.initial_status) and not listed:
            raise ValueError(
                "residence.initial_status: `not_registered` and `not_listed` need a register with "
                "`covers_population: true`; who is missing from a partial list may live here all the same"
            )
        return self
