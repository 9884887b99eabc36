"""Linkage: which identities are probably the same person."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from miglink.config.stages import LinkageSettings
from miglink.engine import Engine, Table
from miglink.errors import ConfigError
from miglink.stages.linkage.blocking import Block, check_pairs, choose_blocks, count_pairs
from miglink.stages.linkage.by_splink import blocking_entries, score_with_splink
from miglink.stages.linkage.calibration import calibrate, describe_curve
from miglink.stages.linkage.clerical import estimate_clerical
from miglink.stages.linkage.comparisons import check_settings, choose_comparisons
from miglink.stages.linkage.held_out import HeldOut, describe_held_out, withhold_number
from miglink.stages.linkage.keys import prepare_identities
from miglink.stages.linkage.levels import Comparison
from miglink.stages.linkage.model import Model, check_model, read_model, save_model
from miglink.stages.linkage.scoring import compare_pairs, propose_pairs, score_pairs
from miglink.stages.linkage.splitting import split_blocks
from miglink.stages.linkage.training import train
from miglink.stages.linkage.travel import find_travel, measure_open_ends

__all__ = [
    "Identified",
    "check_settings",
    "choose_blocks",
    "choose_comparisons",
    "count_pairs",
    "describe_curve",
    "estimate_clerical",
    "find_travel",
    "link",
    "measure_open_ends",
    "prepare_identities",
]

# A bound pair is certain: its weight only has to be above every weight that a model gives.
_BOUND_WEIGHT = 1000.0


@dataclass(frozen=True)
class Identified:
    """Records by identity, and what clerks have decided about pairs of records.

    records: for the crossings of each identity; without them travel is not compared. previous: links of the run whose
    persons go on; they are compared again.
    """

    identities: Table
    record_identities: Table
    judgements: Table
    records: Table | None = None
    previous: Table | None = None


def link(
    engine: Engine,
    identified: Identified,
    settings: LinkageSettings,
    further_columns: tuple[str, ...],
    model_path: Path,
) -> Table:
    """Score the pairs that the blocking rules propose, with a Fellegi–Sunter model trained on them or an earlier one.

    Reads: identities, record_identities, judgements, the crossings among records; with `linkage.model` an earlier
    model.json; with `persons.previous` the links of that run, which are proposed whatever the blocking rules say and
    teach the model nothing.
    Gives: links (key identity_id_l, identity_id_r): level of agreement by field, match_weight, p_match, p_calibrated,
    p_without_number; also the pairs that a judgement or a source already linked binds. Writes model.json.
    Units: match_weight is log2 of the posterior odds; those named p_… are probabilities; all rounded to six decimals.
    Errors: ConfigError if a comparison or blocking rule names what does not exist, if the rules propose more pairs than
    max_pairs, or if the earlier model does not fit the configuration.
    Source: Fellegi and Sunter 1969; Splink 5; Platt 1999 (calibration).
    """
    with engine.holding():
        return _link(engine, identified, settings, further_columns, model_path)


def _link(
    engine: Engine,
    identified: Identified,
    settings: LinkageSettings,
    further_columns: tuple[str, ...],
    model_path: Path,
) -> Table:
    check_settings(settings, further_columns)
    earlier = read_model(settings.model) if settings.model is not None else None
    if earlier is not None and settings.comparisons is None:
        # What the data allow may be another choice than in the earlier run: the model says what it compares.
        settings = settings.model_copy(update={"comparisons": earlier.asked})
    travel = (
        find_travel(engine, identified.records, identified.record_identities) if identified.records else None
    )
    prepared = prepare_identities(engine, identified.identities, travel)
    comparisons = choose_comparisons(engine, prepared, settings, further_columns)
    if settings.scored_by == "splink" and (shared := [c.field for c in comparisons if c.is_shared]):
        raise ConfigError(
            f"linkage.scored_by: Splink cannot take into account that families share {', '.join(shared)}, and would "
            "join relatives; leave `scored_by` out, or do not compare what families share"
        )
    if earlier is not None:
        check_model(earlier, comparisons)
    blocks = choose_blocks(comparisons, settings)
    marked, blocks = _within_budget(engine, prepared, blocks, settings)
    bound = _bound_pairs(engine, prepared, identified)
    if not comparisons or not blocks or engine.count(prepared) < 2:
        return _collect_links(engine, prepared, comparisons, None, bound)
    pairs = propose_pairs(engine, marked, blocks, identified.previous)
    compared = compare_pairs(engine, prepared, comparisons, pairs)
    proposed = compared if identified.previous is None else _proposed(engine, compared, blocks)
    model = (
        train(engine, prepared, (proposed, comparisons, blocks), settings)
        if earlier is None
        else _reuse(earlier, blocks, engine.count(prepared))
    )
    rules = (comparisons, blocks)
    scored, model, held = _score(engine, (marked, compared, proposed), rules, model, identified, settings)
    save_model(model_path, model, comparisons, settings.seed)
    return _collect_links(
        engine, prepared, comparisons, _with_probabilities(engine, scored, model, held), bound
    )


def _within_budget(
    engine: Engine, prepared: Table, blocks: list[Block], settings: LinkageSettings
) -> tuple[Table, list[Block]]:
    """The identities, marked where rules have over-full blocks, and the rules; they propose at most max_pairs."""
    counted = count_pairs(engine, prepared, blocks)
    found = prepared, blocks
    if settings.pairs_per_identity is not None:
        found = split_blocks(engine, prepared, blocks, settings.pairs_per_identity, counted=counted)
    check_pairs(engine, *found, settings.max_pairs, counted if found[1] == blocks else None)
    return found


def _score(
    engine: Engine,
    pairs: tuple[Table, Table, Table],
    rules: tuple[Sequence[Comparison], Sequence[Block]],
    model: Model,
    identified: Identified,
    settings: LinkageSettings,
) -> tuple[Table, Model, HeldOut | None]:
    """The scored pairs, the model with its calibration, and the pairs that hold a number as scored without it.

    pairs: the marked identities, the compared pairs, and those of them that the blocking rules propose.
    """
    marked, compared, proposed = pairs
    held = withhold_number(engine, (marked, proposed), rules, model)
    if settings.scored_by == "splink":
        scored = score_with_splink(engine, marked, rules, model, settings.keep_p_match)
        if identified.previous is not None:
            scored = _with_previous(engine, scored, compared, rules, (model, settings.keep_p_match))
    else:
        scored = score_pairs(engine, compared, rules, model, settings.keep_p_match)
    reviewed = (identified.judgements, identified.record_identities)
    earlier = model.calibration if settings.model is not None else None
    calibration = calibrate(engine, marked, scored, reviewed, earlier)
    described = describe_held_out(engine, held, calibration)
    return scored, replace(model, calibration=calibration, held_out=described), held


def _proposed(engine: Engine, compared: Table, blocks: Sequence[Block]) -> Table:
    """The pairs that the blocking rules propose, with an earlier run as without one.

    A model taught by what an earlier one has linked would confirm it, and differ from that of the full run.
    """
    return engine.view(
        "linkage_proposed", f"SELECT * FROM compared WHERE rule < {len(blocks)}", compared=compared
    )


def _with_previous(
    engine: Engine,
    scored: Table,
    compared: Table,
    rules: tuple[Sequence[Comparison], Sequence[Block]],
    kept: tuple[Model, float],
) -> Table:
    """What Splink scored, and the pairs that only the earlier run links: Splink sees those of its rules alone."""
    _, blocks = rules
    # Written first: scoring the others takes the name of what Splink scored.
    by_rules = engine.step("linkage_scored_by_rules", "SELECT * FROM scored", scored=scored)
    besides = engine.step(
        "linkage_besides", f"SELECT * FROM compared WHERE rule = {len(blocks)}", compared=compared
    )
    again = score_pairs(engine, besides, rules, *kept)
    return engine.step(
        "linkage_scored_again",
        "SELECT * FROM by_rules UNION ALL SELECT * FROM again",
        by_rules=by_rules,
        again=again,
    )


def _with_probabilities(engine: Engine, scored: Table, model: Model, held: HeldOut | None) -> Table:
    """The scored pairs with p_calibrated, and with p_without_number where both sides hold the number withheld."""
    calibration = model.calibration
    # Without judgements it is the model's own probability to the last digit.
    calibrated = (
        "s.p_match" if calibration.method == "model" else calibration.probability_sql("s.match_weight")
    )
    if held is None:
        return engine.view(
            "linkage_calibrated",
            f"SELECT s.*, {calibrated} AS p_calibrated, CAST(NULL AS DOUBLE) AS p_without_number FROM scored s",
            scored=scored,
        )
    level = f"s.level_{held.field}"
    return engine.view(
        "linkage_calibrated",
        f"""SELECT s.*, {calibrated} AS p_calibrated,
               CASE WHEN {level} <> 'not known'
                    THEN coalesce({calibration.probability_sql("h.match_weight")}, CAST(0 AS DOUBLE))
                    END AS p_without_number
        FROM scored s LEFT JOIN held h ON h.unique_id_l = s.unique_id_l AND h.unique_id_r = s.unique_id_r""",
        scored=scored,
        held=held.pairs,
    )


def _reuse(earlier: Model, blocks: Sequence[Block], n_identities: int) -> Model:
    """An earlier model with the blocking rules of this run; how it came about is kept."""
    settings = {**earlier.settings, "blocking_rules_to_generate_predictions": blocking_entries(blocks)}
    step = {"step": "reused", "trained_on_identities": earlier.n_identities, "n_identities": n_identities}
    return replace(earlier, settings=settings, history=[*earlier.history, step])


def _bound_pairs(engine: Engine, prepared: Table, identified: Identified) -> Table:
    """Pairs that are one person whatever the model says: judged a match, or one person in a source already linked."""
    every = [
        """SELECT min(unique_id) OVER (PARTITION BY given_person) AS a, unique_id AS b, 'given_person' AS rule
        FROM prepared WHERE given_person IS NOT NULL"""
    ]
    # Without judgements, as most runs are, no identity is looked for by its text.
    if engine.count(identified.judgements):
        every.append(
            """SELECT x.unique_id, y.unique_id, 'judgement' FROM judgements j
            JOIN record_identities l ON l.source = j.source_l AND l.record_id = j.record_id_l
            JOIN record_identities r ON r.source = j.source_r AND r.record_id = j.record_id_r
            JOIN prepared x ON x.identity_id = l.identity_id JOIN prepared y ON y.identity_id = r.identity_id
            WHERE j.verdict = 'match'"""
        )
    return engine.hold(
        "linkage_bound",
        f"""SELECT least(a, b) AS unique_id_l, greatest(a, b) AS unique_id_r, max(rule) AS blocking_rule
        FROM ({" UNION ALL ".join(every)}) AS bound WHERE a <> b GROUP BY least(a, b), greatest(a, b)""",
        prepared=prepared,
        record_identities=identified.record_identities,
        judgements=identified.judgements,
    )


def _collect_links(
    engine: Engine, prepared: Table, comparisons: Sequence[Comparison], scored: Table | None, bound: Table
) -> Table:
    """Give the table links: scored pairs by identity_id, bound pairs above them all.

    Numbers are in the order of identity_id, so that what comes first by one does by the other.
    """
    levels = [f"level_{comparison.field}" for comparison in comparisons]
    if scored is None:
        texts = "".join(f", CAST(NULL AS VARCHAR) AS {level}" for level in levels)
        scored = engine.step(
            "linkage_scored",
            f"""SELECT unique_id AS unique_id_l, unique_id AS unique_id_r, '' AS blocking_rule,
                CAST(0 AS DOUBLE) AS match_weight, CAST(0 AS DOUBLE) AS p_match, CAST(0 AS DOUBLE) AS p_calibrated,
                CAST(0 AS DOUBLE) AS p_without_number{texts} FROM prepared WHERE false""",
            prepared=prepared,
        )
    kept = "".join(f", s.{level}" for level in levels)
    return engine.query(
        "links",
        f"""WITH pairs AS (
            SELECT coalesce(s.unique_id_l, b.unique_id_l) AS a, coalesce(s.unique_id_r, b.unique_id_r) AS b,
                   coalesce(b.blocking_rule, s.blocking_rule) AS blocking_rule,
                   CASE WHEN b.unique_id_l IS NOT NULL THEN CAST({_BOUND_WEIGHT} AS DOUBLE)
                        ELSE ROUND(s.match_weight, 6) END AS match_weight,
                   CASE WHEN b.unique_id_l IS NOT NULL THEN CAST(1 AS DOUBLE)
                        ELSE ROUND(s.p_match, 6) END AS p_match,
                   CASE WHEN b.unique_id_l IS NOT NULL THEN CAST(1 AS DOUBLE)
                        ELSE ROUND(s.p_calibrated, 6) END AS p_calibrated,
                   CASE WHEN b.blocking_rule = 'given_person'
                        THEN ROUND(coalesce(s.p_without_number, s.p_calibrated, CAST(0 AS DOUBLE)), 6)
                        ELSE ROUND(s.p_without_number, 6) END AS p_without_number,
                   CASE WHEN b.unique_id_l IS NOT NULL THEN ROUND(s.match_weight, 6) END AS model_match_weight,
                   CASE WHEN b.unique_id_l IS NOT NULL THEN ROUND(s.p_match, 6) END AS model_p_match,
                   CASE WHEN b.unique_id_l IS NOT NULL THEN ROUND(s.p_calibrated, 6) END AS model_p_calibrated{kept}
            FROM scored s FULL OUTER JOIN bound b
              ON b.unique_id_l = s.unique_id_l AND b.unique_id_r = s.unique_id_r)
        SELECT l.identity_id AS identity_id_l, r.identity_id AS identity_id_r, p.* EXCLUDE (a, b)
        FROM pairs p JOIN prepared l ON l.unique_id = p.a JOIN prepared r ON r.unique_id = p.b""",
        scored=scored,
        prepared=prepared,
        bound=bound,
    )
