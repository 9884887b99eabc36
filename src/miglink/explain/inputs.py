"""What explanations rest on: the tables, the settings and the model of a finished run, and how a user names things."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from miglink.config.stages import EngineSettings, LinkageSettings, PersonsSettings
from miglink.elsewhere import check_here
from miglink.engine import Engine, Table, open_engine, text_literal
from miglink.errors import ConfigError, SourceError
from miglink.tables import TABLES

# So much of an id names it on the terminal, and can be given back to --pair and --person.
SHOWN = 12
_SHORTEST = 8
_ID = re.compile(r"[0-9a-f]{1,64}")
_OF_THE_RUN = (
    "records", "record_identities", "identities", "judgements", "links", "persons", "person_traits",
    "identity_persons", "record_persons", "conflicts", "spells", "contradictions", "residence",
    "migrations",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A finished run, opened: the tables of its stages, the settings that decide on links, its model if any."""

    engine: Engine
    tables: Mapping[str, Table]
    sources: tuple[str, ...]
    linkage: LinkageSettings
    persons: PersonsSettings
    model: Mapping[str, Any] | None
    current_sources: tuple[str, ...] = ()


@contextmanager
def open_run(folder: Path) -> Iterator[Run]:
    """Open the folder of a finished run; ConfigError where it is none, SourceError where a part is missing."""
    manifest = _read_json(
        folder / "manifest.json", f"{folder}: not the folder of a run; it holds no manifest.json"
    )
    paths = _find_tables(folder, manifest)
    _check_columns(folder, paths)
    try:
        config = manifest["config"]
        engine_settings = EngineSettings.model_validate_json(json.dumps(config["engine"]))
        linkage = LinkageSettings.model_validate_json(json.dumps(config["linkage"]))
        persons = PersonsSettings.model_validate_json(json.dumps(config["persons"]))
        sources = tuple(sorted(config["sources"]))
        of_sources = config["sources"]
        current = tuple(name for name in sources if of_sources[name].get("one_current_record_per_person"))
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            f"{folder}: manifest.json does not state the configuration of the run as this version of miglink writes it"
        ) from None
    try:
        # Scratch tables hold names: they stay within the folder of the run, readable by its owner only.
        place = TemporaryDirectory(dir=folder, prefix=".miglink-")
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from None
    with place, closing(open_engine("duckdb", Path(place.name), engine_settings.place)) as engine:
        tables = {name: Table(name, path) for name, path in paths.items()}
        model = _read_model(folder, engine, tables["links"])
        yield Run(engine, tables, sources, linkage, persons, model, current)


def _find_tables(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Path]:
    """The tables of the stages that were done; a run may have been ended after persons, but not before."""
    state = manifest.get("state", "unknown")
    if state not in ("finished", "stopped"):
        raise ConfigError(f"{folder}: the run is not finished but {state}; explain a run that finished")
    done = {stage["name"] for stage in manifest.get("stages", ())}
    if "persons" not in done:
        raise ConfigError(
            f"{folder}: the run was ended before the stage persons; go on with it, then explain it"
        )
    paths = {
        name: folder / "tables" / f"{name}.parquet" for name in _OF_THE_RUN if TABLES[name].stage in done
    }
    missing = [name for name, path in paths.items() if not path.exists()]
    if missing:
        raise SourceError(f"{folder}: no tables/{', '.join(missing)}; were tables removed? Run it again")
    return paths


def _check_columns(folder: Path, paths: Mapping[str, Path]) -> None:
    """SourceError where a table lacks columns of its contract: another version of miglink made it."""
    for name, path in paths.items():
        check_here(path)
        try:
            held = pl.scan_parquet(path, glob=False).collect_schema()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise SourceError(f"{path}: cannot be read as Parquet ({type(error).__name__})") from None
        lacking = [column.name for column in TABLES[name].columns if column.name not in held]
        if lacking:
            raise SourceError(
                f"{folder}: tables/{name}.parquet has no column {', '.join(lacking)}; another version of miglink made "
                "it. Run it again with this one"
            )


def _read_json(path: Path, absent: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(absent) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({type(error).__name__})") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds no JSON object")
    return content


def _read_model(folder: Path, engine: Engine, links: Table) -> dict[str, Any] | None:
    """Splink's settings with every m and u, `shared`: what families share, `given`, `within`: what depends on groups.

    None if nothing was compared, so that no model was trained.
    """
    path = folder / "model.json"
    if not path.exists():
        scored = "SELECT count(*) FROM links WHERE blocking_rule NOT IN ('judgement', 'given_person')"
        if engine.collect(scored, links=links).item():
            raise SourceError(
                f"{folder}: no model.json, yet `links` holds scored pairs; was it removed? Run it again"
            )
        return None
    model = _read_json(path, "")
    settings = model.get("settings")
    if not isinstance(settings, dict) or "comparisons" not in settings:
        raise SourceError(f"{path}: not the model of a run; it states no settings. Run it again")
    within = model.get("frequencies", {}).get("within", {})
    return settings | {"shared": model.get("shared"), "given": model.get("given", {}), "within": within}


def find_identity(run: Run, given: str, option: str) -> str:
    """The identity that a user names: its id, a beginning of it of at least 8 characters, or source:record_id.

    What was given is never repeated in a message: the key of a record may be a person's number.
    """
    source, colon, record_id = given.partition(":")
    if not colon:
        return _complete(run, given, "identities", "identity_id", option)
    if source not in run.sources:
        raise ConfigError(
            f"{option}: the run has no source of that name; it has {', '.join(run.sources)}. "
            "Name a record as source:record_id, or an identity by its id"
        )
    found = run.engine.collect(
        f"""SELECT identity_id FROM record_identities
        WHERE source = {text_literal(source)} AND record_id = {text_literal(record_id)}""",
        record_identities=run.tables["record_identities"],
    )
    if found.is_empty():
        raise ConfigError(
            f"{option}: source {source} has no accepted record of that record_id; record_ids stand in "
            "tables/records.parquet, rejected rows in tables/rejected.parquet"
        )
    return str(found.item())


def find_person(run: Run, given: str) -> str:
    """The person_id that a user names by it, or by a beginning of it of at least 8 characters."""
    return _complete(run, given, "persons", "person_id", "--person")


def _complete(run: Run, given: str, table: str, column: str, option: str) -> str:
    """The one id of a table that begins so."""
    named = (
        "an identity by its id, or a record as source:record_id" if column == "identity_id" else "a person_id"
    )
    if not _ID.fullmatch(given) or len(given) < _SHORTEST:
        raise ConfigError(
            f"{option}: expected {named}; ids have 64 hexadecimal digits, and their first {_SHORTEST} or more will do "
            "if no other begins so"
        )
    found = run.engine.collect(
        f"SELECT {column} FROM ids WHERE starts_with({column}, {text_literal(given)}) ORDER BY {column}",
        ids=run.tables[table],
    )[column]
    if found.is_empty():
        raise ConfigError(
            f"{option}: the run has no {column} that begins with what was given; they stand in tables/{table}.parquet"
        )
    if len(found) > 1:
        raise ConfigError(
            f"{option}: {len(found):,} {column}s begin with what was given; give more of its characters"
        )
    return str(found.item())
