"""Two lists of people linked three ways, each measured against the truth.

    python -m benchmarks.people [--persons 5000] [--seeds 1 2 3] [--json FILE]

miglink with an address, a postcode and a mother's name beside the fields of a person; miglink without these; and
Splink 5 by itself with its stock comparisons on all of them. Persons are what miglink joins by default, and
Splink at 0.9.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

from benchmarks.people_lists import DIFFICULTIES, make_lists, write_lists

_FURTHER = ("address", "postcode", "mother_name")
_COMPARISONS = """
identities: {further_columns: [address, postcode, mother_name]}
linkage:
  comparisons:
    - {field: name}
    - {field: birth_date}
    - {field: sex}
    - {field: mother_name, kind: name}
    - {field: address, kind: text}
    - {field: postcode, kind: code, unless_same: address}
"""


def link_with_miglink(folder: Path, with_further: bool) -> pl.DataFrame:
    """Run miglink over the two lists in the folder; gives source, record_id, found."""
    columns = ["record_id: id", "given_names: given_names", "surname: surname", "birth_date: birth_date"]
    columns += ["sex: {from: sex, map: {F: female, M: male}}"]
    columns += [f"{column}: {column}" for column in _FURTHER] if with_further else []
    sources = "".join(
        f"  {name}:\n    kind: people\n    files: {name}.csv\n    columns:\n"
        + "".join(f"      {column}\n" for column in columns)
        for name in ("census", "enrolment")
    )
    config, run = folder / f"people_{with_further}.yml", folder / f"run_{with_further}"
    text = f"name: people\nkey: {{demo: true}}\nsources:\n{sources}"
    config.write_text(text + (_COMPARISONS if with_further else ""), encoding="utf-8")
    command = [sys.executable, "-m", "miglink", "run", str(config), "--to", "persons", "--out", str(run)]
    subprocess.run(command, check=True, capture_output=True)
    return pl.read_parquet(run / "tables" / "record_persons.parquet").select(
        "source", "record_id", found="person_id"
    )


def link_with_splink(folder: Path) -> pl.DataFrame:
    """Link and deduplicate the two lists with Splink's stock comparisons and its usual training."""
    people = pl.concat(
        pl.read_csv(folder / f"{name}.csv", infer_schema=False).with_columns(source=pl.lit(name))
        for name in ("census", "enrolment")
    ).with_columns(unique_id=pl.col("source") + "-" + pl.col("id"))
    routes = [
        block_on("surname", "birth_date"),
        block_on("given_names", "birth_date"),
        block_on("given_names", "surname"),
        block_on("surname", "postcode"),
        block_on("given_names", "postcode"),
        block_on("birth_date", "postcode"),
        block_on("address"),
    ]
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            cl.NameComparison("given_names"),
            cl.NameComparison("surname"),
            cl.DateOfBirthComparison("birth_date", input_is_string=True),
            cl.ExactMatch("sex"),
            cl.NameComparison("mother_name"),
            cl.JaroWinklerAtThresholds("address", [0.95, 0.88]),
            cl.ExactMatch("postcode").configure(term_frequency_adjustments=True),
        ],
        blocking_rules_to_generate_predictions=routes,
    )
    api = DuckDBAPI()
    linker = Linker(api.register(people), settings, log_level=None)
    linker.training.estimate_probability_two_random_records_match(
        [block_on("given_names", "surname", "birth_date")], recall=0.7
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=5_000_000, seed=1)
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("given_names", "surname"))
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("birth_date"))
    predicted = linker.inference.predict(threshold_match_probability=0.9)
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
        predicted, threshold_match_probability=0.9
    )
    found = pl.DataFrame(clusters.as_record_list(), infer_schema_length=None)
    return found.select("source", record_id="id", found=pl.col("cluster_id").cast(pl.String))


def measure(found: pl.DataFrame, truth: pl.DataFrame) -> dict[str, float]:
    """Precision and recall over pairs of records, and wrong and missed persons.

    Precision: of the pairs put together, the share that is one person. Recall: of the pairs that are one person, the
    share put together.
    """
    both = truth.join(found, on=["source", "record_id"], how="left", validate="1:1")
    counts = {
        name: int(both.group_by(keys).agg(n=pl.len() * (pl.len() - 1) // 2)["n"].sum())
        for name, keys in (("right", ["person", "found"]), ("found", ["found"]), ("true", ["person"]))
    }
    precision = counts["right"] / max(counts["found"], 1)
    recall = counts["right"] / max(counts["true"], 1)
    return {
        "precision": round(precision, 5),
        "recall": round(recall, 5),
        "f1": round(2 * precision * recall / max(precision + recall, 1e-9), 5),
        "pairs_wrong": counts["found"] - counts["right"],
        "pairs_missed": counts["true"] - counts["right"],
        "pairs_true": counts["true"],
    }


WAYS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "miglink, with further columns": lambda folder: link_with_miglink(folder, with_further=True),
    "miglink, without them": lambda folder: link_with_miglink(folder, with_further=False),
    "Splink 5, stock comparisons": link_with_splink,
}


def compare(n_persons: int, seed: int, difficulty: str) -> list[dict[str, Any]]:
    """Make the lists of one seed and link them all three ways; a row of measures for each."""
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_lists(folder, make_lists(n_persons, seed, DIFFICULTIES[difficulty]))
        truth = pl.read_csv(folder / "truth.csv")
        for way, link in WAYS.items():
            began = time.perf_counter()
            found = link(folder)
            seconds = round(time.perf_counter() - began, 1)
            rows.append(
                {
                    "difficulty": difficulty,
                    "seed": seed,
                    "way": way,
                    **measure(found, truth),
                    "seconds": seconds,
                }
            )
    return rows


def main() -> None:
    """Print the measures as a table; write them as JSON where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.people")
    parser.add_argument("--persons", type=int, default=5000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--difficulty", nargs="+", choices=[*DIFFICULTIES], default=[*DIFFICULTIES])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = [
        row
        for difficulty in given.difficulty
        for seed in given.seeds
        for row in compare(given.persons, seed, difficulty)
    ]
    with pl.Config(tbl_rows=-1, tbl_cols=-1, fmt_str_lengths=40, tbl_hide_dataframe_shape=True):
        print(pl.DataFrame(rows))
    if given.json is not None:
        text = json.dumps({"persons": given.persons, "measures": rows}, indent=1)
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
