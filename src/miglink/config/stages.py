"""The configuration of the stages after ingest, each its own slice."""

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from miglink.config.models import Section
from miglink.config.protection import ProtectionSettings
from miglink.config.rules import MissingCrossings, Rule
from miglink.config.shells import Shell
from miglink.engine import Place
from miglink.tables import TABLES
from miglink.tables.contract import DIMENSIONS

# As Spark knows them itself (spark.redaction.regex).
_SECRET = re.compile(r"secret|password|token|access[.]?key", re.IGNORECASE)
ComparisonKind = Literal["exact", "name", "date", "document", "number", "text", "code", "quantity"]


class Period(Section):
    """The observation: events on days from `from` up to and including `to` would have been recorded.

    `covers` of the sources may cut it for what rests on them.
    """

    from_date: date = Field(alias="from")
    """First day on which an event would have been recorded."""
    to_date: date = Field(alias="to")
    """Last day covered by the sources."""

    @property
    def data_to_date(self) -> date:
        """The first day that is not observed any more."""
        return self.to_date + timedelta(days=1)

    @model_validator(mode="after")
    def _in_order(self) -> "Period":
        if self.to_date <= self.from_date:
            raise ValueError("`to` must be later than `from`")
        return self


class EngineSettings(Section):
    """Where the run computes."""

    kind: Literal["duckdb", "spark"] = "duckdb"
    """duckdb: embedded, on this machine. spark: a Spark session, for files that outgrow one machine (docs/spark.md)."""
    memory_limit: str | None = Field(default=None, pattern=r"^\d+(\.\d+)? ?(KB|MB|GB|TB|KiB|MiB|GiB|TiB)$")
    """Memory the engine may use before it spills to disk, such as 4GB; default: DuckDB's own, 80 % of the machine."""
    threads: int | None = Field(default=None, gt=0)
    """Threads; default: all."""
    temp_directory: Path | None = None
    """Where it spills; default: within the run folder."""
    master: str | None = Field(default=None, min_length=1)
    """Spark's master, such as local[*], spark://HOST:7077 or yarn; default: as Spark's own environment says."""
    settings: dict[Annotated[str, Field(pattern=r"^spark\.[\w.\-]+$")], str | bool | int | float] = {}
    """Spark's settings, passed on as they are, such as `spark.executor.memory: 8g`; no secrets."""
    checkpoint_folder: Path | None = None
    """Where Splink keeps what it has computed on Spark, on a path that all machines share; default: the run folder."""

    shared_folder: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9+.\-]*://.*[^/]/*$")
    """Where Spark keeps the tables of its runs, such as hdfs://HOST/DIR, each in a folder with the name of the run's;
    default: in the run folder, which all machines must then know by one path."""

    @model_validator(mode="after")
    def _of_the_kind(self) -> "EngineSettings":
        others: tuple[str, ...] = ("memory_limit", "threads", "temp_directory")
        if self.kind == "duckdb":
            others = ("master", "settings", "checkpoint_folder", "shared_folder")
        wrong = [f"`{name}`" for name in others if getattr(self, name)]
        if wrong:
            advice = (
                "for DuckDB only; on Spark say it by `settings`"
                if self.kind == "spark"
                else "for Spark only; add `kind: spark`"
            )
            raise ValueError(f"{' and '.join(wrong)}: {advice}")
        secret = [f"settings: {name}" for name in self.settings if _SECRET.search(name)]
        if re.search("//[^/@]*:[^/@]*@", self.shared_folder or ""):
            secret.append("shared_folder")
        if secret:
            raise ValueError(
                f"{secret[0]} holds a secret, and the run's manifest states the configuration; put it into "
                "spark-defaults.conf or the credential store of the cluster"
            )
        return self

    @property
    def place(self) -> Place:
        """The same, for the engine."""
        settings = {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in self.settings.items()
        }
        return Place(**self.model_dump(exclude={"kind", "settings"}), settings=settings)


class KeySettings(Section):
    """The secret that turns identities into pseudonyms: a file of mode 0600 or an environment variable."""

    file: Path | None = None
    """File made by `miglink key`."""
    environment: str | None = Field(default=None, pattern=r"^[A-Z_][A-Z0-9_]*$")
    """Name of an environment variable that holds the key."""
    demo: bool = False
    """Use the key built into miglink. Only for the demonstration: anyone can recompute the pseudonyms."""

    @model_validator(mode="after")
    def _one(self) -> "KeySettings":
        if sum([self.file is not None, self.environment is not None, self.demo]) != 1:
            raise ValueError("give exactly one of `file`, `environment` and `demo: true`")
        return self


class IdentitiesSettings(Section):
    """Which further columns distinguish identities."""

    further_columns: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], ...] = ()
    """Columns mapped by the sources beyond the standard person fields, to be compared or blocked on."""


class ComparisonSettings(Section):
    """One comparison of the linkage model."""

    field: str
    """Field compared: name, birth_date, sex, citizenship, birth_country, document, person_number, travel (the crossings
    of both sides) or a further column."""
    kind: ComparisonKind | None = None
    """How: exact, name, date, document, number, and for further columns also text (an address), code (a postcode) and
    quantity; `number` is one that identifies. Default: what suits the field, for a further column exact."""
    unless_same: str | None = None
    """Another comparison, earlier in the list, of which this is a part: a postcode says nothing new where the address
    is the same, and is left out there."""


class LinkageSettings(Section):
    """How identities are compared, and with what training."""

    comparisons: tuple[ComparisonSettings, ...] | None = None
    """Comparisons by name; default: chosen from the fields that the sources hold."""
    blocking: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] | None = None
    """Blocking rules as lists of columns of identities or of their keys, all of which must be equal; default: chosen
    from the fields at hand."""
    model: Path | None = None
    """The model.json of an earlier run, or its run folder: its parameters score the pairs, and nothing is trained."""
    pairs_per_identity: float | None = Field(default=5.0, gt=0)
    """A blocking rule that would propose more pairs an identity has its blocks of more than 20 identities split by
    further fields (sex, citizenship, sound of names …), in several ways; a pair need agree in one. null: never."""
    max_pairs: int = Field(default=1_000_000_000, gt=0)
    """Most pairs that the blocking rules may propose, all rules together; beyond, the run stops before it makes one."""
    training_pairs: int = Field(default=1_000_000, gt=0)
    """Random pairs from which the frequencies among non-matches (u) are estimated."""
    scored_by: Literal["miglink", "splink"] = "miglink"
    """miglink: pairs are compared once, for training and scores. splink: Splink's own `predict`, which gives the same
    links in more time: to check one by the other."""
    keep_p_match: float = Field(default=0.01, ge=0, lt=1)
    """Pairs below this probability are not kept in `links`."""
    seed: int = 1
    """Seed of the training sample."""

    @model_validator(mode="after")
    def _named_once(self) -> "LinkageSettings":
        before: set[str] = set()
        for comparison in self.comparisons or ():
            if comparison.field in before:
                raise ValueError(f"comparisons: {comparison.field!r} is compared twice")
            if comparison.unless_same is not None and comparison.unless_same not in before:
                raise ValueError(
                    f"comparisons: {comparison.field!r} has `unless_same: {comparison.unless_same}`, "
                    "which must be the field of a comparison before it in the list"
                )
            before.add(comparison.field)
        return self


class PersonsSettings(Section):
    """How links become persons."""

    accept_p_match: float = Field(default=0.65, gt=0, lt=1)
    """Links of at least this calibrated probability (`p_calibrated`) join identities into a person, where the pairs
    between the two groups that they join are matches more likely than not on average. A missed link makes two persons
    who come and go, the costliest of errors: above 0.5 a link is more likely right than wrong."""
    certain_p_match: float = Field(default=0.999, gt=0, le=1)
    """A person joined by a link of a lower calibrated probability than this is doubtful."""
    previous: Path | None = None
    """Folder of an earlier run whose person ids are kept, and whose links are compared again whatever the blocking
    rules propose. The report says how its published figures have moved."""


Borders = Literal["recorded", "open"]
TrustedKind = Literal["death", "crossing", "activity", "register", "permit", "visa"]


class SpellsSettings(Section):
    """How crossings become spells of presence and absence."""

    borders: Borders = "recorded"
    """recorded: presence comes from crossings, births and deaths. open: crossings do not tell who is here, so no spells
    are made of them, and only rules that rest on other evidence can be named."""
    longest_trip_days: int = Field(default=90, ge=0)
    """Days of a trip away from where the evidence says that a person lives. A missing crossing is most likely so near
    to the other end of the trip; the policy `midpoint` halves them."""
    trust: tuple[TrustedKind, ...] = ("death", "crossing", "activity", "register", "permit")
    """Kinds of evidence, the most trusted first: death, crossing, activity (signs of life), register, permit, visa.
    Where they contradict each other about a stay in which a crossing is missing, the first that says anything decides;
    what loses stands in the table `contradictions`. A kind that is left out says nothing, as visas do by default.
    Crossings always tell when the border was crossed; their place, and that of activity and register, is against
    death: of two that contradict, a record of a kind before `death` that begins after the date of death overrules that
    death, for all stages (`conflicts`). Permits and visas say nothing of a death. What each kind can say:
    docs/assumptions.md, "Evidence that contradicts itself"."""

    @property
    def over_death(self) -> tuple[str, ...]:
        """The kinds that are trusted more than a record of death, and can contradict it."""
        before = self.trust[: self.trust.index("death")]
        return tuple(kind for kind in before if kind in ("crossing", "activity", "register"))

    @model_validator(mode="after")
    def _kinds_of_trust(self) -> "SpellsSettings":
        if len(set(self.trust)) < len(self.trust):
            raise ValueError(
                "trust: a kind is given twice; give each kind of evidence once, the most trusted first"
            )
        if "death" not in self.trust:
            raise ValueError(
                "trust: `death` is left out, and nobody would ever die; put it last, and crossings, signs of life and "
                "registrations after a death overrule it"
            )
        if "crossing" not in self.trust and self.borders == "recorded":
            raise ValueError(
                "trust: `crossing` is left out, but presence comes from crossings; add it, or say `borders: open`"
            )
        return self


InitialEvidence = Literal[
    "active_registration", "first_crossing", "register", "permit", "not_registered", "not_listed"
]


class ResidenceSettings(Section):
    """Rules, policies and the evidence for the status at the start."""

    rules: tuple[Rule, ...] = Field(min_length=1)
    """Names of presets or paths of rule files."""
    policies: tuple[MissingCrossings, ...] = Field(default=("unresolved",), min_length=1)
    """Policies for missing crossings, run side by side; the first is the main one. unresolved: the crossing may lie
    anywhere in its gap, and what depends on where is undetermined. midpoint: on its most likely day.
    open_until_next: on the day of the next crossing. reject_person: persons with a gap keep their first status.
    visa_end: a missing departure on the day after the end of the visa or permit that was in force on the arrival.
    More in docs/assumptions.md, "Policies for missing crossings"."""
    initial_status: tuple[InitialEvidence, ...] = ("first_crossing", "register", "permit")
    """Evidence for the status when observation began, tried in this order; none applies: unknown.
    active_registration: registered on that day, and a sign of life in the year from it, or before the first
    crossing (resident).
    first_crossing: the first crossing lies at least the rule's threshold after observation began.
    register: registered on that day (resident). permit: a residence permit is valid on that day (resident).
    not_registered: the register covers everybody who lives here, so who is not in it is non_resident.
    not_listed: the same, but for who holds a residence permit: there the evidence contradicts itself."""
    resident_permits: tuple[str, ...] | None = None
    """Purposes of permits that imply residence; default: all."""

    @model_validator(mode="after")
    def _distinct(self) -> "ResidenceSettings":
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names) or len(set(self.policies)) < len(self.policies):
            raise ValueError("a rule or policy is given twice; their names tell the results apart")
        return self


class EstimatesSettings(Section):
    """What is counted."""

    reporting_country: str = Field(pattern=r"^[A-Z]{3}$")
    """alpha-3 code of the country whose migration is measured."""
    periods: tuple[Literal["month", "quarter", "year"], ...] = Field(default=("year", "month"), min_length=1)
    """Periods of the flows, at least one. Flows under a rule without flow dates of its own have years only."""
    traits: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], ...] = ()
    """Further columns of the sources (education, occupation …) by which persons are counted; a value holds from the
    day of the first record that states it until another is stated."""
    breakdowns: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] | None = None
    """Lists of dimensions, each counted with all its totals: sex, age, age_reached, age_group, citizenship,
    citizenship_group, birth_country, birth_group, origin_group, region, other_country, purpose, and at most one of
    `traits`. other_country and purpose are dimensions of flows alone. Default: [sex, citizenship_group],
    [sex, age_group], [citizenship], [birth_country], [birth_group], [origin_group], [region], [other_country],
    [purpose], and each of `traits`; a dimension of which no source holds a value is left out, but not of the first."""

    @model_validator(mode="after")
    def _dimensions_are_known(self) -> "EstimatesSettings":
        standard = [name for name in DIMENSIONS if name not in ("trait", "trait_value")]
        columns = {column.name for name in ("records", "listed_people") for column in TABLES[name].columns}
        taken = sorted({*DIMENSIONS, *columns} & {*self.traits})
        if taken or len(set(self.traits)) < len(self.traits):
            raise ValueError(
                f"traits: {', '.join(taken) or 'a name'} "
                f"{'is a column already' if taken else 'is given twice'}; name further columns, each once"
            )
        for names in self.breakdowns or ():
            unknown = [name for name in names if name not in (*standard, *self.traits)]
            if unknown:
                raise ValueError(
                    f"breakdowns: no dimension is called {', '.join(map(repr, unknown))}; known: "
                    f"{', '.join((*standard, *self.traits))}; further columns are named under `traits`"
                )
            if len(set(names)) < len(names) or len(set(names) & set(self.traits)) > 1:
                raise ValueError(
                    f"breakdowns: [{', '.join(names)}] names a dimension twice, or two of `traits`; "
                    "give each dimension once, and at most one of `traits` to a breakdown"
                )
        return self


class PublishSettings(Section):
    """What leaves the run folder."""

    formats: tuple[Literal["parquet", "csv", "sdmx-csv", "sdmx-ml"], ...] = Field(
        default=("parquet", "csv"), min_length=1
    )
    """File formats of outputs/: each table as parquet or csv, or as both; sdmx-csv: `stocks`, `flows` and the tables of
    `tables` for SDMX as well; sdmx-ml (extra `sdmx`): their structures (docs/sdmx.md). linked/ is Parquet always."""
    tables: tuple[Shell, ...] = ()
    """Tables in the columns and codes of those who publish them: names of shells such as migr_imm1ctz (`miglink tables`
    lists them), or paths of shell files (docs/publication.md)."""
    table_rules: dict[str, str] = {}
    """Name of such a table -> the rule of the run by which it is made, in place of those that its definition names."""
    protection: ProtectionSettings = ProtectionSettings()
    """Disclosure control of what leaves."""

    @model_validator(mode="after")
    def _formats_once(self) -> "PublishSettings":
        if len(set(self.formats)) < len(self.formats):
            raise ValueError("formats: one is given twice")
        if not {"parquet", "csv"} & {*self.formats}:
            raise ValueError(
                "formats: one of parquet and csv must be among them, for tables that are no data flow of SDMX"
            )
        return self

    @model_validator(mode="after")
    def _tables_once(self) -> "PublishSettings":
        names = [shell.name for shell in self.tables]
        if len(set(names)) < len(names):
            raise ValueError("tables: one is given twice; their names are those of the files")
        taken = [name for name in names if name in TABLES]
        if taken:
            raise ValueError(
                f"tables: {taken[0]!r} is the name of a table of miglink; give the shell another"
            )
        unknown = [name for name in self.table_rules if name not in names]
        if unknown:
            raise ValueError(f"table_rules: {unknown[0]!r} is none of `tables`")
        return self
