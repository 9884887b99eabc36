"""Names, dates, documents and citizenships as the world writes them: the level that each difference gets."""

import datetime as dt
import random
from typing import Any

import polars as pl
import pytest

from given_tables import name_table
from miglink.engine import Engine, Table, text_literal
from miglink.stages.linkage import prepare_identities
from miglink.stages.linkage.blocking import Block
from miglink.stages.linkage.documents import check_digit_sql
from miglink.stages.linkage.kinds import BY_FIELD
from miglink.stages.linkage.levels import both_sides_sql, label_sql
from miglink.stages.linkage.scoring import propose_pairs
from miglink.stages.linkage.variants import find_variants

Names = tuple[str | None, str | None]
SIMILAR = {
    "same name",
    "same words in another order",
    "same surname, similar given names",
    "same given names, similar surname",
    "similar name",
}
# Surname and given names of one person, written twice: a level of at least "similar name".
ONE_PERSON: list[tuple[str, Names, Names]] = [
    ("both standardisations", ("MUELLER", "JUERGEN"), ("MULLER", "JURGEN")),
    ("particle", ("VAN DER BERG", "ANNA"), ("BERG", "ANNA")),
    ("article", ("AL AHMAD", "HASSAN"), ("AHMAD", "HASSAN")),
    ("son of", ("BIN AHMED AL HASSAN", "ALI"), ("AHMED AL HASSAN", "ALI")),
    ("son of, one name alone", ("BIN AHMED AL HASSAN", "ALI"), ("AL HASSAN", "ALI")),
    ("daughter of", ("BINTI OSMAN", "NUR"), ("OSMAN", "NUR")),
    ("patronymic beside the given name", ("IVANOV", "SERGEI PETROVICH"), ("IVANOV", "SERGEI")),
    ("patronymic of a woman", ("IVANOVA", "OLGA PETROVNA"), ("IVANOVA", "OLGA")),
    ("patronymic beside the surname", ("IVANOV PETROVICH", "SERGEI"), ("IVANOV", "SERGEI")),
    ("patronymic and transliteration", ("IVANOV", "SERGEI PETROVICH"), ("IVANOFF", "SERGEI")),
    ("first of two surnames", ("GARCIA MARQUEZ", "ANA"), ("GARCIA", "ANA")),
    ("second of two surnames", ("GARCIA MARQUEZ", "ANA"), ("MARQUEZ", "ANA")),
    ("two surnames in another order", ("GARCIA MARQUEZ", "ANA"), ("MARQUEZ GARCIA", "ANA")),
    ("born name beside the married one", ("SMITH JONES", "MARY"), ("JONES", "MARY")),
    ("married name alone", ("SMITH JONES", "MARY"), ("SMITH", "MARY")),
    ("one surname, given names differ too", ("SMITH JONES", "MARY ANN"), ("JONES", "MARY")),
    ("swapped", ("BURIKOV", "SERGEI"), ("SERGEI", "BURIKOV")),
    ("swapped and misspelt", ("BURIKOV", "SERGEI"), ("SERGEY", "BURIKOV")),
    ("swapped, both misspelt", ("MOROZOV", "VLADIMIR"), ("VLADIMYR", "MOROSOV")),
    ("initial", ("SMITH", "J"), ("SMITH", "JOHN")),
    ("initials", ("SMITH", "J P"), ("SMITH", "JOHN PAUL")),
    ("first name and initial", ("SMITH", "JOHN P"), ("SMITH", "JOHN PAUL")),
    ("second given name alone", ("SMITH", "PAUL"), ("SMITH", "JOHN PAUL")),
    ("second given name left out", ("SMITH", "JOHN"), ("SMITH", "JOHN PAUL")),
    # ICAO Doc 9303-4: 39 characters for surname, two fillers and given names.
    ("given names cut off", ("PAPANDREOPOULOU", "THEODORA ALEXANDRA EL"), ("PAPANDREOPOULOU", "THEODORA ALEXANDRA E")),
    ("both cut off", ("ANDRIANTSIMITOVIAMINIRINARIVO", "RAKOTO"), ("ANDRIANTSIMITOVIAMINIRINARIVOZAFY", "RAK")),
    ("no place for given names", ("ANDRIANTSIMITOVIAMINIRINARIVOZAFINDRAKO", None),
     ("ANDRIANTSIMITOVIAMINIRINARIVOZAFINDRAKOTO", "SOLO")),
    ("transliteration", ("HARRIS", "STUART"), ("HARRIS", "STEWART")),
    ("transliteration of both", ("KIM", "CHUL JAE"), ("GIM", "CHEOL JAE")),
    ("joined", ("ABDULRAHMAN", "OMAR"), ("ABDUL RAHMAN", "OMAR")),
    ("split given name", ("KIM", "DAE WOO"), ("KIM", "DAEWOO")),
    ("both misspelt", ("KOWALSKI", "BOGUSLAW"), ("KOWALSKY", "BOGUSLAV")),
]  # fmt: skip
OTHER_LEVELS: list[tuple[str, Names, Names]] = [
    ("same surname, given names not known", ("KIM", None), ("KIM", "DAEWOO")),
    ("names that sound alike", ("KHALED", "AMEENA"), ("CALEED", "AMYNAH")),
    ("names of one rough sound", ("LEE", "ZHANNA"), ("LEE", "JANNA")),
    ("names of one rough sound", ("SONG", "KWOKQIANG"), ("SOONG", "GUOQIANG")),
    ("names of one rough sound", ("HSU", "TINGHUA"), ("XU", "TINGWAH")),
    ("names of one rough sound", ("XU", "QINGZHOU"), ("TSUI", "CHINGCHOU")),
    ("names of one rough sound", ("HO", "ZIWAH"), ("HE", "ZIHUA")),
    ("other", ("AU", "OUA"), ("AI", "EO")),
    ("names somewhat alike", ("KHOMENKO", "LIUBOMYR"), ("FOMENKO", "LUBOMYR")),
    ("same given names, other surname", ("ALTENBACH", "VERA"), ("JAEGER", "VERA")),
    ("same or similar surname, other given names", ("HARRIS", "STUART"), ("HARRIS", "MARGERY")),
    # A particle that both have is not a name in common.
    ("other", ("AL AHMAD", "HASSAN"), ("AL QURAISHI", "FATIMA")),
    ("other", ("DE LA CRUZ", "ANA"), ("DE LA FUENTE", "PEDRO")),
    ("other", ("GARCIA", "ANA"), ("OKAFOR", "NGOZI")),
    ("not known", ("GARCIA", "ANA"), (None, None)),
]


def identities_of(engine: Engine, rows: list[dict[str, Any]]) -> Table:
    """Identities by place; the two spellings of a name are the same where a row gives one."""
    full = [
        {
            **{f"{name}_icao": row.get(f"{name}_ascii") for name in ("surname", "given_names")},
            "n_records": 1,
            "birth_date_precision": "day" if "birth_date" in row else None,
            **row,
            "identity_id": f"{place:06}",
        }
        for place, row in enumerate(rows)
    ]
    return name_table(engine, "identities", full)


def levels(engine: Engine, field: str, pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[str]:
    """The level of each pair, which is the same from either side."""
    rows = [{"place": place, **row} for place, pair in enumerate(pairs) for row in pair]
    prepared = prepare_identities(
        engine, identities_of(engine, [{k: v for k, v in row.items() if k != "place"} for row in rows])
    )
    comparison = BY_FIELD[field](field)
    found = engine.collect(
        f"""WITH pairs AS (
            SELECT {both_sides_sql(comparison.columns)}, CAST(l.identity_id AS INTEGER) AS place
            FROM p l JOIN p r ON l.identity_id <> r.identity_id
             AND FLOOR(CAST(l.identity_id AS INTEGER) / 2) = FLOOR(CAST(r.identity_id AS INTEGER) / 2))
        SELECT {label_sql(comparison)} AS level, place FROM pairs ORDER BY place""",
        p=prepared,
    )["level"].to_list()
    assert found[::2] == found[1::2]
    return found[::2]


def named(names: Names) -> dict[str, Any]:
    return {"surname_ascii": names[0], "given_names_ascii": names[1]}


def test_names_of_one_person_are_similar(engine: Engine) -> None:
    found = levels(engine, "name", [(named(one), named(other)) for _, one, other in ONE_PERSON])
    told = {case: level for (case, _, _), level in zip(ONE_PERSON, found, strict=True)}
    assert {case: level for case, level in told.items() if level not in SIMILAR} == {}


def test_two_standardisations_meet(engine: Engine) -> None:
    one = {**named(("MULLER", "JURGEN")), "surname_icao": "MUELLER", "given_names_icao": "JUERGEN"}
    assert levels(engine, "name", [(one, named(("MUELLER", "JUERGEN")))]) == ["same name"]


def test_levels_of_names(engine: Engine) -> None:
    found = levels(engine, "name", [(named(one), named(other)) for _, one, other in OTHER_LEVELS])
    told = [(level, one, other) for (_, one, other), level in zip(OTHER_LEVELS, found, strict=True)]
    assert told == OTHER_LEVELS


def test_forms_of_one_name_are_no_twins(engine: Engine) -> None:
    born = {"birth_date": pl.Series(["1966-09-03"]).str.to_date().item()}
    pairs = [
        ({**named(("HARRIS", given)), **born}, {**named(("HARRIS", other)), **born})
        for given, other in (("OLEH", "OLEG"), ("OLEH", "DANIIL"))
    ]
    twins = "same or similar surname and day of birth, other given names"
    assert levels(engine, "name", pairs) == ["similar name", twins]


DATES = [
    ("1985-03-07", "1985-03-07", "same day"),
    ("1985-03-07", "1985-01-01", "same year, day not known or 1 January"),
    ("1985-03-07", "1985", "same year, day not known or 1 January"),
    ("1985-03-07", "1985-07-03", "day and month swapped"),
    ("1985-03-07", "1985-03-01", "one digit"),
    ("1985-03-07", "1935-03-07", "one digit"),
    ("1985-03-07", "1985-11-26", "same year"),
    ("1985-03-07", "1962-03-07", "same day and month"),
    ("1985-03-07", "1962-11-26", "other"),
    ("1985-03-07", None, "not known"),
]


def dated(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    precision = "day" if len(text) == 10 else "year"
    date = pl.Series([text + "-01-01"[: 10 - len(text)]]).str.to_date().item()
    return {"birth_date": date, "birth_date_precision": precision}


def test_levels_of_dates(engine: Engine) -> None:
    found = levels(engine, "birth_date", [(dated(one), dated(other)) for one, other, _ in DATES])
    told = [(one, other, level) for (one, other, _), level in zip(DATES, found, strict=True)]
    assert told == DATES


LIKE = "one character, or characters that look alike"
# ICAO Doc 9303-4, appendix B: L898902C3 with check digit 6; appendix A: D23145890, 7.
DOCUMENTS = [
    ("UTO L898902C3", "UTO L898902C3", "same number"),
    ("UTO L898902C3", "UTO L898902C36", "same number"),
    ("UTO D23145890", "UTO D231458907", "same number"),
    ("UTO L898902C3", "UTO L898902C37", LIKE),
    ("UTO L8989O2C3", "UTO L898902C3", LIKE),
    ("UTO I898902C3", "UTO 1898902C3", LIKE),
    ("UTO B898902C3", "UTO 8898902C3", LIKE),
    ("UTO S898902C3", "UTO 5898902C3", LIKE),
    ("UTO L898902C3", "UTO L8989023", LIKE),
    ("SUN 512345678", "RUS 512345678", "same number"),
    ("CSK 512345678", "SVK 512345678", "same number"),
    ("UTO L898902C3", "UTO M77410556", "other number, same country"),
    ("SUN 512345678", "UKR 998877665", "other number, same country"),
    ("UTO L898902C3", "DEU M77410556", "other"),
    ("RUS 512345678", "UKR 998877665", "other"),
]


def documented(text: str) -> dict[str, Any]:
    country, number = text.split()
    return {"document_number": number, "document_country": country}


def test_levels_of_documents(engine: Engine) -> None:
    found = levels(engine, "document", [(documented(one), documented(other)) for one, other, _ in DOCUMENTS])
    told = [(one, other, level) for (one, other, _), level in zip(DOCUMENTS, found, strict=True)]
    assert told == DOCUMENTS


@pytest.mark.parametrize(("number", "digit"), [("L898902C3", "6"), ("D23145890", "7"), ("740812", "2")])
def test_check_digits_are_those_of_icao(engine: Engine, number: str, digit: str) -> None:
    found = engine.collect(f"SELECT {check_digit_sql(text_literal(number), len(number))} AS digit")
    assert found.item() == digit


FORMER = "former state and one that followed it"
CITIZENSHIPS = [
    ("RUS", "RUS", "same"),
    ("RUS DEU", "DEU", "one in common"),
    ("RUS DEU", "FRA DEU", "one in common"),
    ("SUN", "RUS", FORMER),
    ("UKR", "SUN", FORMER),
    ("YUG", "SRB", FORMER),
    ("SCG", "MNE", FORMER),
    ("CSK", "SVK", FORMER),
    ("RUS", "UKR", "other"),
    ("SUN", "SRB", "other"),
    ("DEU", "FRA", "other"),
]


def test_levels_of_citizenships(engine: Engine) -> None:
    def held(text: str) -> dict[str, Any]:
        return dict(zip(("citizenship", "citizenship_2"), text.split(), strict=False))

    found = levels(engine, "citizenship", [(held(one), held(other)) for one, other, _ in CITIZENSHIPS])
    told = [(one, other, level) for (one, other, _), level in zip(CITIZENSHIPS, found, strict=True)]
    assert told == CITIZENSHIPS
    born = [
        ({"birth_country": one}, {"birth_country": other}) for one, other in (("SUN", "KAZ"), ("SUN", "POL"))
    ]
    assert levels(engine, "birth_country", born) == [FORMER, "other"]


def spelt(*names: tuple[str, str, int]) -> pl.DataFrame:
    return pl.DataFrame(names, schema={"name": pl.String, "sound": pl.String, "n": pl.Int64}, orient="row")


def variants(names: pl.DataFrame) -> dict[str, str]:
    return dict(find_variants(names).iter_rows())


def test_a_rare_spelling_goes_to_the_most_frequent_one_near_it() -> None:
    names = spelt(
        ("KOWALSKI", "KSLSK", 90), ("KOWALSKA", "KSLSK", 60), ("KOWALSKY", "KSLSK", 2), ("NOWAK", "NSK", 80)
    )
    assert variants(names) == {"KOWALSKA": "KOWALSKI", "KOWALSKY": "KOWALSKI"}
    assert variants(spelt(("KIM", "KM", 50), ("GIM", "KM", 9), ("LIM", "LM", 40))) == {"GIM": "KIM"}


def test_chains_do_not_become_one_name() -> None:
    names = spelt(
        ("MARTA", "MRT", 50),
        ("MARIA", "MR", 40),
        ("MARIK", "MRK", 30),
        ("TARIK", "TRK", 20),
        ("TARUK", "TRK", 1),
    )
    # MARIA goes to MARTA; MARIK, near to MARIA alone, stays, and TARIK and TARUK go to it and no further.
    assert variants(names) == {"MARIA": "MARTA", "TARIK": "MARIK"}


def test_variants_are_those_of_the_sequential_rule_in_any_order() -> None:
    rng = random.Random(4)
    written = {
        "".join(rng.choice("BKLMN") + rng.choice("AEO") for _ in range(rng.randint(2, 3))) for _ in range(300)
    }
    names = spelt(*((name, "", rng.randint(1, 5)) for name in sorted(written)))
    found = variants(names)
    assert variants(names.sample(fraction=1, shuffle=True, seed=2)) == found
    counts = dict(zip(names["name"], names["n"], strict=True))
    leaders = counts.keys() - found.keys()
    # No follower leads, and each is borne at most as often as its leader.
    assert set(found.values()) <= leaders
    assert all((-counts[led], led) < (-counts[name], name) for name, led in found.items())
    assert len(found) > 50


@pytest.mark.parametrize("names", [spelt(), spelt(("ANNA", "N", 1)), spelt(("O", "", 3), ("A" * 60, "", 2))])
def test_no_near_spellings(names: pl.DataFrame) -> None:
    assert variants(names) == {}


def test_names_both_misspelt_are_proposed(engine: Engine) -> None:
    """Neither the beginning nor the sound of a name is the same; once they are swapped as well."""
    rows = [
        *[{**named(("TKACHENKO", "MYROSLAV")), **dated("1980-05-06")}] * 2,
        {**named(("TCACHENKO", "MIROSLAV")), **dated("1980-11-30")},
        {**named(("NYROSLAV", "TKACHEMKO")), **dated("1980-05-06")},
        {**named(("GARCIA", "ANA")), **dated("1980-05-06")},
    ]
    prepared = prepare_identities(engine, identities_of(engine, rows))
    pairs = engine.collect(
        """SELECT l.identity_id AS l, r.identity_id AS r FROM proposed AS x
        JOIN identities l ON l.unique_id = x.unique_id_l JOIN identities r ON r.unique_id = x.unique_id_r""",
        identities=prepared,
        proposed=propose_pairs(engine, prepared, [Block(("name_variants", "birth_year"))]),
    )
    found = {tuple(int(n) for n in pair) for pair in pairs.iter_rows()}
    assert found == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}


def test_a_surname_changed_by_women_is_a_level_of_its_own(engine: Engine) -> None:
    """By sex, or by given names that women bear; not where both surnames are borne by turns."""
    vera = [{**named((surname, "VERA")), "sex": "female"} for surname in ("ALTENBACH", "JAEGER")]
    days = [(dt.date(2015, 1, 1), dt.date(2019, 1, 1)), (dt.date(2017, 1, 1), dt.date(2020, 1, 1))]
    by_turns = [
        {**row, "first_date": first, "last_date": last} for row, (first, last) in zip(vera, days, strict=True)
    ]
    bearers = [{**named((surname, "ILSE")), "sex": "female"} for surname in ("ADLER", "BERG")] * 6
    pairs = [
        (vera[0], vera[1]),
        (named(("ALTENBACH", "ILSE")), named(("JAEGER", "ILSE"))),
        (by_turns[0], by_turns[1]),
        ({**vera[0], "sex": "male"}, vera[1]),
        *zip(bearers[::2], bearers[1::2], strict=True),
    ]
    found = levels(engine, "name", pairs)
    women, others = "same given names, other surname, women", "same given names, other surname"
    assert found[:4] == [women, women, others, others]


def test_given_names_and_days_of_birth_lead_to_one_another_in_either_place(engine: Engine) -> None:
    """A married name, and given names in its place or day and month swapped: one key leads from each to the other."""
    often = [named(("MUELLER", "GERDA")), named(("SCHMIDT", "GERDA ANNA")), named(("MARTIN", "PAUL"))] * 10
    asked = [named(("SCHILDBURG", "GERDA")), named(("GERDA", "BLUMENHEIM")), named(("MARTIN", "GERDA"))]
    days = ["1984-10-12", "1984-12-10", "1984-10-25"]
    born = [
        row | {"birth_date": dt.date.fromisoformat(day), "birth_date_precision": "day"}
        for row, day in zip(asked, days, strict=True)
    ]
    prepared = prepare_identities(engine, identities_of(engine, [*often, *born]))
    found = engine.collect(
        """SELECT likely_given_names, birth_any_order FROM p WHERE birth_day_iso IS NOT NULL
        ORDER BY CAST(identity_id AS INTEGER)""",
        p=prepared,
    )
    # A surname that is a given name too stays where it is, beside one that is a given name more often.
    assert found["likely_given_names"].to_list()[-3:] == ["GERDA"] * 3
    assert found["birth_any_order"].to_list()[-3:] == ["1984-10-12", "1984-10-12", "1984-10-25"]
