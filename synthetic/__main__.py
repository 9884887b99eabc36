"""`python -m synthetic SIZE --seed S --noise LEVEL --out DIR`: a country with known truth."""

import argparse
import sys
import time
from importlib.resources import files
from pathlib import Path

from synthetic import documents, journeys, noise, population, records, world
from synthetic.answers import write_truth
from synthetic.chance import Chance
from synthetic.files import write_sources

# Observed crossings, about: five a person.
SIZES = {"tiny": 10_000, "small": 100_000, "medium": 1_000_000, "large": 10_000_000, "xlarge": 15_300_000}
CROSSINGS_A_PERSON = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Make the country that the command line asks for."""
    asked = _parser().parse_args(arguments)
    try:
        n_crossings = SIZES.get(asked.size) or int(asked.size)
    except ValueError:
        print(f"{asked.size}: neither a number of crossings nor one of {', '.join(SIZES)}", file=sys.stderr)
        return 2
    if n_crossings < 1000:
        print("fewer than 1000 crossings make no country", file=sys.stderr)
        return 2
    if asked.out.exists() and (not asked.out.is_dir() or any(asked.out.iterdir())):
        print(f"{asked.out} exists and is not an empty folder; name another or remove it", file=sys.stderr)
        return 2
    start = time.perf_counter()
    n_records = make_country(
        round(n_crossings / CROSSINGS_A_PERSON), asked.noise, Chance(asked.seed), asked.out
    )
    seconds = time.perf_counter() - start
    print(
        f"{asked.out}: {n_records:,} records of Marenia in {seconds:.0f} s. "
        f"Next: miglink run {asked.out / 'country.yml'}"
    )
    return 0


def make_country(n_persons: int, level: str, chance: Chance, folder: Path) -> int:
    """Make a country of about so many persons below the folder; gives the number of records.

    Truth first, then what each source would record, then noise, then the files, and the truth apart from them.
    """
    factor = noise.LEVELS[level]
    parties = world.make_parties(n_persons, chance)
    persons = world.make_persons(parties, noise.SECOND_RATE * factor, noise.MARRIAGE_RATE * factor, chance)
    bases = journeys.find_bases(parties, chance)
    trips = journeys.find_trips(parties, bases, persons, chance)
    crossings = journeys.find_crossings(parties, bases, trips, persons, chance)
    naturalised = documents.find_naturalisations(parties, bases, persons, chance)
    country = records.Country(
        parties, persons, bases, crossings, records.find_birth_countries(persons, bases, chance), naturalised,
        documents.issue_documents(persons, naturalised, noise.RENEWAL_RATE * factor, chance),
    )  # fmt: skip
    sources = noise.make_noise(noise.mark_facts(find_sources(country, chance), country), level, chance)
    folder.mkdir(parents=True, exist_ok=True)
    written = write_sources(sources, country, folder, chance)
    (folder / "country.yml").write_bytes((files("synthetic") / "country.yml").read_bytes())
    missing = sources["missing_crossings"]
    del sources  # the largest of all: truth is written without it
    write_truth(country, written, missing, folder / "truth")
    return written.height


def find_sources(country: records.Country, chance: Chance) -> noise.Sources:
    """Give what each source would record if nothing went wrong."""
    stays = records.find_stays(country)
    pins = records.number_persons(country.persons.party.size)
    border = records.record_crossings(country, chance)
    register = population.record_registrations(country, stays, pins, chance)
    registered = register["person"].unique().sort().to_numpy()
    return {
        "border": border,
        "visas": records.record_visas(country, border, chance),
        "permits": records.record_permits(country, stays, pins, chance),
        "register": register,
        "census": population.record_census(country, stays, chance),
        "activity": population.record_activity(country, stays, pins, registered, chance),
        "births": population.record_births(country, stays, pins),
        "deaths": population.record_deaths(country, stays, pins, registered, chance),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m synthetic", description=__doc__)
    parser.add_argument("size", help=f"{', '.join(SIZES)}, or a number of crossings")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same bytes (default: 1)")
    parser.add_argument("--noise", choices=list(noise.LEVELS), default="medium", help="how much goes wrong")
    parser.add_argument("--out", type=Path, required=True, help="folder to make, new or empty")
    return parser


if __name__ == "__main__":
    sys.exit(main())
