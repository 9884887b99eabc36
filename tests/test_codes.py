"""Codes: countries, ICAO spellings, particles and citizenship groups, with the traps that real files hold."""

from datetime import date

import polars as pl
import pytest

from miglink.codes import (
    PRECEDENCE,
    ascii_characters,
    citizenship_groups,
    code_lookup,
    countries,
    country_key,
    former_states,
    icao_alternatives,
    icao_characters,
    particles,
)
from miglink.errors import ConfigError

# Every distinct value of the country columns of the agency files, as the agencies wrote them. Padding (`D<<`) included.
BORDER = """AFG ALB ARG AUS BGD BGR BLR BOL BRA CAN CHE CHL CHN COL CUB CZE D D<< DOM DZA E ECU EGY ERI ESP FRA GBD GBO
GBR GBS GEO GHA HRV HTI IDN IND IRL IRN IRQ ITA JOR JPN KAZ KEN KOR LBN LKA MAR MDA MEX NGA NLD NPL NZL PAK PER PHL
POL PRT PSE RKS ROM ROU RUS SAU SEN SOM SRB SUI SWE SYR THA TUN TUR TWN UKR USA VEN VNM XXA XXB XXC ZAF"""
PERMITS = """AF AR AU BD BO BR BY CA CL CN CO CU CZ DE DO DZ EC EG ER ES FR GB GE HK HT ID IN IQ IR IT JO JP KE KR KZ LB
LK MA MD MX NG NL NP NZ PE PH PK PL PS PT RO RS RU SA SE SN SO SY TH TN TR TW UA US VE VN XK"""
REGISTER = """004 008 012 032 036 050 068 076 100 112 124 144 152 156 158 170 192 203 214 218 232 250 268 275 276 288
332 344 356 360 364 368 380 392 398 400 404 410 422 484 498 504 524 528 554 566 586 604 608 616 620 642 643 686 688
704 706 724 760 764 788 792 804 818 826 840 862"""
VISAS = {
    "AFG": "Afghanistan", "ALB": "Albania", "DZA": "Algeria", "BGD": "Bangladesh", "BLR": "Belarus|Belorussia",
    "CHN": "China|China, People's Republic of|P.R. China", "CUB": "Cuba", "DOM": "Dominican Rep.|Dominican Republic",
    "EGY": "Egypt", "ERI": "Eritrea", "GEO": "Georgia", "GHA": "Ghana", "HTI": "Haiti",
    "HKG": "Hong Kong|Hong Kong SAR", "IND": "India", "IDN": "Indonesia", "IRN": "Iran|Iran, Islamic Republic of",
    "IRQ": "Iraq", "JOR": "Jordan", "KAZ": "Kazakhstan", "KEN": "Kenya", "RKS": "Kosovo|Republic of Kosovo",
    "LBN": "Lebanon", "MDA": "Moldova|Moldova, Republic of", "MAR": "Morocco", "NPL": "Nepal", "NGA": "Nigeria",
    "PAK": "Pakistan", "PSE": "Palestine|Palestine, State of|Palestinian Territory",
    "PHL": "Philippines|The Philippines", "XXB": "Refugee|Refugee (1951 Convention)",
    "SRB": "Republic of Serbia|Serbia", "RUS": "Russia|Russian Federation", "SAU": "Saudi Arabia", "SEN": "Senegal",
    "SOM": "Somalia", "LKA": "Sri Lanka", "XXA": "Stateless", "SYR": "Syria|Syrian Arab Republic",
    "TWN": "Taiwan|Taiwan, Province of China", "THA": "Thailand", "TUN": "Tunisia", "TUR": "Turkey|Turkiye|Türkiye",
    "UKR": "Ukraine", "VEN": "Venezuela|Venezuela (Bolivarian Republic of)|Venezuela, Bolivarian Republic of",
    "VNM": "Viet Nam|Vietnam",
}  # fmt: skip


def lookup() -> dict[str, str]:
    return dict(code_lookup().iter_rows())


def found(text: str) -> str | None:
    return lookup().get(country_key(text))


def codes_of(scheme: str) -> dict[str, str]:
    rows = countries().filter(pl.col("scheme") == scheme).select("code", "country")
    return dict(rows.iter_rows())


def test_each_code_is_listed_once_whatever_its_scheme() -> None:
    listed = countries()
    assert listed["code"].is_duplicated().sum() == 0
    assert listed.null_count().sum_horizontal().item() == 0
    assert code_lookup().columns == ["code", "country"]
    assert code_lookup().height == listed.height


def test_codes_are_written_as_they_are_looked_up() -> None:
    assert [code for code in countries()["code"] if country_key(code) != code] == []


def test_schemes_stand_in_order_of_precedence() -> None:
    order = countries({"QV": "QVR"})["scheme"].unique(maintain_order=True).to_list()
    assert tuple(order) == PRECEDENCE


def test_all_249_countries_stand_in_three_schemes() -> None:
    alpha3, alpha2, numeric = codes_of("alpha3"), codes_of("alpha2"), codes_of("numeric")
    assert len(alpha3) == len(alpha2) == len(numeric) == 249
    assert all(code == country for code, country in alpha3.items())
    assert set(alpha3) == set(alpha2.values()) == set(numeric.values())
    assert {len(code) for code in alpha2} == {2}
    assert all(len(code) == 3 and code.isdecimal() for code in numeric)


def test_every_country_has_a_name() -> None:
    assert set(codes_of("alpha3")) <= set(codes_of("name").values())


def test_countries_that_are_given_are_countries_that_are_known() -> None:
    known = lookup()
    assert {country for country in known.values() if known.get(country) != country} == set()


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("NO", "NOR"), ("no", "NOR"), ("NA", "NAM"), ("NAN", None), ("D", "DEU"), ("D<<", "DEU"), ("GER", "DEU"),
        ("UK", "GBR"), ("GBD", "GBR"), ("GBN", "GBR"), ("GBO", "GBR"), ("GBP", "GBR"), ("GBS", "GBR"),
        ("XK", "RKS"), ("XKX", "RKS"), ("RKS", "RKS"), ("UNK", "RKS"), ("Kosovo", "RKS"), ("412", None),
        ("ROM", "ROU"), ("BUR", "MMR"), ("ZAR", "COD"), ("TMP", "TLS"), ("DDR", "DEU"), ("BYS", "BLR"),
        ("RHO", "ZWE"), ("DHY", "BEN"), ("HVO", "BFA"), ("VDR", "VNM"), ("YMD", "YEM"), ("AFI", "DJI"),
        ("SUN", "SUN"), ("YUG", "YUG"), ("SCG", "SCG"), ("CSK", "CSK"), ("ANT", "ANT"), ("891", "SCG"), ("CS", None),
        ("XXA", "XXA"), ("XXB", "XXB"), ("XXC", "XXC"), ("XXX", "XXX"), ("UNO", "UNO"), ("EUE", "EUE"),
        ("8", "ALB"), ("040", "AUT"), ("036", "AUS"), ("AUS", "AUS"), ("AUT", "AUT"), ("Austria", "AUT"),
        ("CHE", "CHE"), ("CHL", "CHL"), ("CHI", None), ("SLO", None), ("SVK", "SVK"), ("SVN", "SVN"),
        ("Niger", "NER"), ("Nigeria", "NGA"), ("Guinea", "GIN"), ("Guinea-Bissau", "GNB"),
        ("Equatorial Guinea", "GNQ"), ("Papua New Guinea", "PNG"), ("Dominica", "DMA"), ("Mali", "MLI"),
        ("Republic of Korea", "KOR"), ("Korea, Democratic People's Republic of", "PRK"), ("ROK", "KOR"),
        ("Congo", "COG"), ("Congo, Democratic Republic of the", "COD"), ("DR Congo", "COD"),
        ("Republic of China", "TWN"), ("People’s Republic of China", "CHN"), ("PRC", "CHN"),
        ("Côte d'Ivoire", "CIV"), ("Côte d’Ivoire", "CIV"), ("Cote dIvoire", "CIV"), ("Ivory Coast", "CIV"),
        ("U.S.A.", "USA"), ("United States of America", "USA"), ("Great Britain", "GBR"), ("Holland", "NLD"),
        ("Swaziland", "SWZ"), ("Burma", "MMR"), ("Macedonia", "MKD"), ("Cape Verde", "CPV"), ("Cabo Verde", "CPV"),
        ("Czech Republic", "CZE"), ("Czechia", "CZE"), ("São Tomé and Príncipe", "STP"), ("St. Lucia", "LCA"),
        ("Saint Lucia", "LCA"), ("Antigua & Barbuda", "ATG"), ("Antigua and Barbuda", "ATG"), ("Curaçao", "CUW"),
        ("Åland Islands", "ALA"), ("South Korea", "KOR"), ("Viet Nam", "VNM"), ("", None), ("Freedonia", None),
    ],
)  # fmt: skip
def test_texts_and_their_countries(text: str, country: str | None) -> None:
    assert found(text) == country


@pytest.mark.parametrize("values", [BORDER, PERMITS, REGISTER], ids=["border", "permits", "register"])
def test_codes_of_the_agencies_are_known(values: str) -> None:
    assert [value for value in values.split() if found(value) is None] == []


def test_names_of_the_agencies_are_known() -> None:
    names = {name: country for country, listed in VISAS.items() for name in listed.split("|")}
    assert {name: found(name) for name in names} == names


def test_configuration_adds_codes_and_wins() -> None:
    added = dict(
        code_lookup({"QV": "QVR", "955": "QVR", "412": "RKS", "4": "RKS", "Québec": "CAN"}).iter_rows()
    )
    expected = {
        "QV": "QVR",
        "955": "QVR",
        "QVR": "QVR",
        "412": "RKS",
        "004": "RKS",
        "QUEBEC": "CAN",
        "AF": "AFG",
    }
    assert {code: added.get(code) for code in expected} == expected
    assert code_lookup({"NO": "SWE"})["code"].is_duplicated().sum() == 0
    assert found("NO") == "NOR"


@pytest.mark.parametrize(
    "extra", [{"QV": "QV"}, {"QV": "Norway"}, {"--": "NOR"}, {"q v": "NOR", "Q-V": "SWE"}], ids=str
)
def test_configuration_that_makes_no_sense_is_refused(extra: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"countries\."):
        code_lookup(extra)


def test_former_states_and_their_successors() -> None:
    successors: dict[str, set[str]] = {}
    for former, successor, until in former_states().iter_rows():
        successors.setdefault(former, set()).add(successor)
        assert date(1970, 1, 1) < until < date(2011, 1, 1)
    assert successors["SCG"] == {"SRB", "MNE"}
    assert successors["CSK"] == {"CZE", "SVK"}
    assert successors["YUG"] == {"SVN", "HRV", "BIH", "SRB", "MNE", "MKD"}
    assert successors["ANT"] == {"CUW", "SXM", "BES"}
    assert len(successors["SUN"]) == 15
    assert successors["ROM"] == {"ROU"}
    assert set().union(*successors.values()) <= set(codes_of("alpha3"))


def test_a_former_state_is_itself_or_its_only_successor() -> None:
    known = lookup()
    for (former,), rows in former_states().group_by("former"):
        only = rows["successor"].item() if rows.height == 1 else former
        assert known[str(former)] == only


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("MÜLLER", "MUELLER"), ("BOLAÑOS", "BOLANOS"), ("ŁUKASZ", "LUKASZ"), ("ÅSE", "AASE"), ("ØRSTED", "OERSTED"),
        ("ÞÓRA", "THORA"), ("GROẞ", "GROSS"), ("GROß", "GROSS"), ("İLKER", "ILKER"), ("ŒUVRE", "OEUVRE"),
        ("GAÐI", "GADI"), ("ĲSSEL", "IJSSEL"), ("ÇELİK", "CELIK"), ("ȘTEFAN", "STEFAN"),
        ("ЮРИЙ", "IURII"), ("ЩЕРБАКОВ", "SHCHERBAKOV"), ("ИГОРЬ", "IGOR"), ("ХАЧАТУРЯН", "KHACHATURIAN"),
        ("ЄВГЕН", "IEVGEN"), ("محمد", "MXHMD"), ("حُسَيْن", "XHSYN"),
    ],
)  # fmt: skip
def test_names_in_the_machine_readable_zone(name: str, spelling: str) -> None:
    characters = icao_characters()
    assert "".join(characters.get(character, character) for character in name) == spelling


def test_the_russian_alphabet_is_whole_and_spellings_are_capitals() -> None:
    characters = icao_characters()
    assert set("АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ") <= set(characters)
    assert all(len(character) == 1 and not character.isascii() for character in characters)
    assert all(
        latin == "" or (latin.isascii() and latin.isalpha() and latin.isupper())
        for latin in characters.values()
    )


def test_xx_forms_are_those_of_the_character_that_they_stand_for() -> None:
    assert icao_alternatives() == {"NXX": icao_characters()["Ñ"], "UXX": icao_characters()["Ü"]}
    read = "BOLANXXOS MUXXLLER"
    for written, latin in icao_alternatives().items():
        read = read.replace(written, latin)
    assert read == "BOLANOS MUELLER"


def test_particles_are_single_words() -> None:
    assert particles() >= {
        "DE",
        "DEL",
        "LA",
        "LOS",
        "Y",
        "DA",
        "DOS",
        "VAN",
        "VON",
        "DER",
        "AL",
        "EL",
        "BIN",
        "ABU",
    }
    assert not particles() & {"ABD", "MC", "O", "SAN"}
    assert all(word.isascii() and word.isalpha() and word.isupper() for word in particles())


@pytest.mark.parametrize(
    ("group", "year", "n", "members", "others"),
    [
        ("eu", 1958, 6, "BEL DEU FRA ITA LUX NLD", "GBR"),
        ("eu", 1973, 9, "GBR IRL DNK", "GRC NOR"),
        ("eu", 1981, 10, "GRC", "ESP"),
        ("eu", 1986, 12, "ESP PRT", "AUT"),
        ("eu", 1995, 15, "AUT FIN SWE", "NOR"),
        ("eu", 2004, 15, "SWE", "POL"),
        ("eu", 2005, 25, "POL CYP MLT", "BGR"),
        ("eu", 2007, 27, "BGR ROU", "HRV"),
        ("eu", 2013, 27, "ROU", "HRV"),
        ("eu", 2014, 28, "HRV GBR", "ISL"),
        ("eu", 2020, 28, "GBR", "CHE"),
        ("eu", 2021, 27, "IRL", "GBR"),
        ("efta", 1961, 7, "AUT DNK GBR NOR PRT SWE CHE", "FIN ISL"),
        ("efta", 1973, 6, "ISL PRT", "GBR DNK"),
        ("efta", 1994, 7, "AUT FIN SWE LIE", "PRT"),
        ("efta", 2024, 4, "CHE ISL LIE NOR", "GBR"),
        ("candidate", 2000, 13, "TUR MLT POL", "HRV"),
        ("candidate", 2012, 5, "TUR MKD MNE HRV ISL", "SRB"),
        ("candidate", 2016, 5, "TUR MKD MNE SRB ALB", "ISL HRV"),
        ("candidate", 2022, 5, "ALB", "UKR MDA BIH"),
        ("candidate", 2024, 9, "TUR MKD MNE SRB ALB UKR MDA BIH GEO", "ISL"),
    ],
)
def test_groups_on_the_first_of_january(group: str, year: int, n: int, members: str, others: str) -> None:
    day = date(year, 1, 1)
    inside = citizenship_groups().filter(
        pl.col("group") == group,
        pl.col("valid_from") <= day,
        pl.col("valid_to").is_null() | (pl.col("valid_to") > day),
    )
    found_members = set(inside["country"])
    assert len(found_members) == inside.height == n
    assert set(members.split()) <= found_members
    assert not set(others.split()) & found_members


def test_groups_are_dated_and_of_known_countries() -> None:
    groups = citizenship_groups()
    assert groups.schema == {
        "group": pl.String, "country": pl.String, "valid_from": pl.Date, "valid_to": pl.Date
    }  # fmt: skip
    assert set(groups["country"]) <= set(codes_of("alpha3"))
    assert groups.filter(pl.col("valid_to") <= pl.col("valid_from")).is_empty()
    brexit = groups.filter(country="GBR", group="eu")["valid_to"].item()
    assert brexit == date(2020, 2, 1)


def test_ascii_characters() -> None:
    assert ascii_characters("Garcia, Ana") == {}
    assert ascii_characters("ÜüŁßØ") == {"Ü": "U", "ü": "U", "Ł": "L", "ß": "SS", "Ø": "O"}
    assert ascii_characters("n\u0303 e\u0301 \u0650") == {"\u0303": "", "\u0301": "", "\u0650": ""}
    assert ascii_characters("’–\u00a0Ь") == {"’": "", "–": " ", "\u00a0": " ", "Ь": ""}
    assert ascii_characters("王ि") == {"王": "WANG", "ि": "I"}
