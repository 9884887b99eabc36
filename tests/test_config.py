"""The configuration: what is read, and what is said about what is wrong."""

import os
import re
import sys
from datetime import date
from pathlib import Path

import pytest

from miglink.config import config_schema, load_key, preset_rules, read_any_rule, read_config
from miglink.config.keys import DEMO_KEY
from miglink.config.stages import KeySettings
from miglink.errors import ConfigError

GOOD = """\
name: little
period: {from: 2012-01-01, to: 2023-12-31}
key: {demo: true}
countries: {NO: NOR, "955": QVR}
sources:
  border:
    kind: crossings
    files: [border/*.csv, more.csv]
    columns:
      crossed_at: {from: WHEN, formats: ["%d/%m/%Y"]}
      direction: {from: MOVE, map: {E: arrival, S: departure}}
      surname: {from: [AP1, AP2]}
residence: {rules: [nz_12_16]}
estimates: {reporting_country: QVR}
"""
DEMO = Path(__file__).parent.parent / "configs" / "agency.yml"


def write(folder: Path, text: str, name: str = "config.yml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read_config(write(folder, text), overrides)
    assert error.value.exit_code == 2
    return list(error.value.problems)


def test_a_configuration_is_read_with_every_value_stated(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, GOOD))
    assert config.period is not None
    assert config.residence is not None
    assert config.period.from_date == date(2012, 1, 1)
    assert config.countries == {"NO": "NOR", "955": "QVR"}
    assert config.sources["border"].files == (f"{tmp_path}/border/*.csv", f"{tmp_path}/more.csv")
    assert [rule.name for rule in config.residence.rules] == ["nz_12_16"]
    stated = config.model_dump(mode="json", by_alias=True)
    assert stated["residence"]["rules"][0]["window"]["value"] == 487
    assert stated["persons"]["accept_p_match"] == config.persons.accept_p_match
    assert stated["period"] == {"from": "2012-01-01", "to": "2023-12-31"}


def test_wrong_keys_are_reported_all_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = GOOD.replace("    files:", "    colums: {}\n    files:").replace(
        "reporting_country", "reporting_contry"
    )
    assert problems(tmp_path, text + "linkage: {seed: 1, training: 5}\n") == [
        "config.yml:8:5: sources.border.colums: unknown key, did you mean 'columns'?",
        "config.yml:15:1: estimates.reporting_country: missing: "
        "alpha-3 code of the country whose migration is measured.",
        "config.yml:15:13: estimates.reporting_contry: unknown key, did you mean 'reporting_country'?",
        "config.yml:16:20: linkage.training: unknown key, did you mean 'training_pairs'?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("NO: NOR", "NO: 578", '4:17: countries.NO: expected text, found the number 578: write it in quotes, "578"'),
        ('"955"', "955", '4:22: countries.955: YAML reads this key as a number; write it in quotes: "955"'),
        ("kind: crossings", "kind: crosings", "did you mean 'crossings'?"),
        ("to: 2023-12-31", "to: 2023-1-1", "2:32: period.to: expected a date such as 2019-03-31, found '2023-1-1'"),
        ("to: 2023-12-31", "to: 2011-12-31", "2:1: period: `to` must be later than `from`"),
        (", to: 2023-12-31", "", "2:1: period.to: missing: Last day covered by the sources."),
        ("surname:", "surnam:", "12:7: sources.border.columns.surnam: kind crossings has no such column, "
         "did you mean 'surname'?"),
        ("surname: {from", "surname: {form", "12:17: sources.border.columns.surname.form: unknown key, "
         "did you mean 'from'?"),
        ("{from: [AP1, AP2]}", "5", "12:16: sources.border.columns.surname: expected text, found the number 5"),
        ("{from: [AP1, AP2]}", "{from: A, map: {x: y}}",
         "6:3: sources.border: column `surname` holds no codes: take `map` out"),
        ("{from: [AP1, AP2]}", "[A, 5]", "12:20: sources.border.columns.surname.1: expected text, found the number 5"),
        ('{from: WHEN, formats: ["%d/%m/%Y"]}', "{from: WHEN, constant: x}",
         "10:7: sources.border.columns.crossed_at: give either `from` or `constant`"),
        ('formats: ["%d/%m/%Y"]', 'formats: "%d"', "formats: expected a list, found '%d'"),
        ("      direction:", "      port:", "6:3: sources.border: kind crossings needs a column `direction`"),
        ("[nz_12_16]", "[nz_12_61]", "13:21: residence.rules: rule 'nz_12_61': no such preset, "
         "did you mean 'nz_12_16'?"),
        ("[nz_12_16]", "[nz_12_16, nz_12_16]", "13:1: residence: a rule or policy is given twice"),
        ("[nz_12_16]", "[nz_12_16], policies: []", "13:42: residence.policies: expected at least 1 entries"),
        ("[nz_12_16]", "[]", "13:20: residence.rules: expected at least 1 entries"),
        ("[nz_12_16]", "[mine.yml]", "mine.yml: the rule cannot be read: No such file or directory"),
        ("  border:", "  Grenze-1:", "6:3: sources.Grenze-1: expected text that matches"),
        ("name: little", "name: little\nname: other", "2:1: name: given twice, first in line 1; keep one"),
        ("name: little", "name: [little", "not YAML"),
        ("name: little", "name: !!python/name:os.system x", "has no meaning here"),
        ("name: little", "name: &a [*a]", "an anchor that holds itself"),
        ("name: little", "%YAML 1.1\n---\nname: NO", "YAML 1.1 reads NO (Norway) as false"),
        ("estimates:", "identities: {further_columns: [school]}\nestimates:",
         "14:32: identities.further_columns: no source maps 'school'"),
        ("estimates:", "persons: {accept_p_match: 1.5}\nestimates:",
         "14:27: persons.accept_p_match: expected a value less than 1, found the number 1.5"),
        ("estimates:", "linkage: {seed: yes}\nestimates:", "linkage.seed: expected a whole number, found 'yes'"),
        ("estimates:", "linkage: {seed: true}\nestimates:", "linkage.seed: expected a whole number, found true"),
        ("estimates:", "persons:\nestimates:", "persons: expected a section with keys, found nothing"),
        ("country: QVR", "country: QVR, periods: []", "14:46: estimates.periods: expected at least 1 entries"),
        ("country: QVR", "country: NZD", "14:32: estimates.reporting_country: no country has the code 'NZD'; "
         "did you mean 'NZL'?"),
        ("country: QVR", "country: GER", "no country has the code 'GER'; did you mean 'DEU'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    assert [line for line in problems(tmp_path, GOOD.replace(old, new)) if expected in line]


def test_a_wrong_rule_file_is_reported_with_its_own_lines(tmp_path: Path) -> None:
    rule = (
        preset_rules()["nz_12_16"]
        .read_text("utf-8")
        .replace("half_open", "half-open")
        .replace("value: 365", "value: 100")
    )
    write(tmp_path, rule.replace("title:", "titel:"), "mine.yml")
    found = problems(tmp_path, GOOD.replace("nz_12_16", "mine.yml"), "name=a b")
    assert len(found) == 4
    assert found[0] == "--set name: name: expected text that matches ^[A-Za-z0-9][A-Za-z0-9_-]*$, found 'a b'"
    assert all(line.startswith("config.yml:13:21: residence.rules: mine.yml:") for line in found[1:])
    assert any("did you mean 'title'?" in line for line in found)


def test_aliases_and_merges_are_followed(tmp_path: Path) -> None:
    text = GOOD.replace("{from: MOVE,", "&move {from: MOVE,") + ("  \n").replace("  \n", "")
    text = text.replace("      surname:", "      sex: {<<: *move, from: SEX}\n      surname:")
    config = read_config(write(tmp_path, text))
    sex = config.sources["border"].mapping("sex")
    assert sex is not None
    assert (sex.from_, sex.map) == ("SEX", {"E": "arrival", "S": "departure"})


def test_overrides_are_yaml_values(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    overrides = [
        "linkage.seed=7",
        "countries.NO=SWE",
        "residence.policies=[midpoint, unresolved]",
        "sources.border.files.1=x",
    ]
    config = read_config(path, overrides)
    assert (config.linkage.seed, config.countries["NO"]) == (7, "SWE")
    assert config.residence is not None
    assert config.residence.policies == ("midpoint", "unresolved")
    assert config.sources["border"].files[1] == f"{tmp_path}/x"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("linkage.sede=7", "--set linkage.sede: linkage.sede: unknown key, did you mean 'seed'?"),
        ("linkge.seed=7", "--set linkge.seed: linkge: unknown key, did you mean 'linkage'?"),
        ("linkage.seed=x", "--set linkage.seed: linkage.seed: expected a whole number, found 'x'"),
        ("linkage.seed", "--set linkage.seed: write it as section.key=value"),
        ("name.first=x", "--set name.first: name has no `first`: it is one value"),
        (
            "sources.border.files.9=x",
            "--set sources.border.files.9: sources.border.files has no `9`: it is a list",
        ),
        ("name=[", "--set name: not YAML"),
    ],
)
def test_wrong_overrides_are_reported(tmp_path: Path, override: str, expected: str) -> None:
    assert any(line.startswith(expected) for line in problems(tmp_path, GOOD, override))


def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    secret = "5ecret0123456789abcdef0123456789"
    for wrong in (
        secret,
        f"{{demo: {secret}}}",
        f"{{environment: {secret}}}",
        f"{{file: [{secret}]}}",
        f"[{secret}]",
    ):
        lines = problems(tmp_path, GOOD.replace("{demo: true}", wrong), f"key.demo={secret}")
        assert lines
        assert secret not in "\n".join(lines)


@pytest.mark.parametrize("content", [b"", b"- a\n", b"\xff\xfe\x00", b"name: \x07\n", b"a: 1\n---\nb: 2\n"])
def test_files_that_are_no_configuration_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.yml"):
        read_config(path)


def test_a_missing_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "none.yml")


def test_presets_are_read_by_name_and_files_by_path(tmp_path: Path) -> None:
    for name, path in preset_rules().items():
        assert read_any_rule(name, tmp_path).name == name
        assert read_any_rule(path.name, path.parent).name == name
    assert "nz_12_16" in preset_rules()


def test_the_schema_lets_rules_be_names() -> None:
    schema = config_schema()
    rules = schema["$defs"]["ResidenceSettings"]["properties"]["rules"]
    assert rules["items"]["anyOf"][0]["type"] == "string"
    assert schema["properties"]["period"]["description"] == (
        "The days that the sources cover. Needed by the stages from spells on, and by two-digit years."
    )


def test_the_demonstration_has_a_key_of_its_own() -> None:
    assert load_key(KeySettings(demo=True)) == DEMO_KEY


def test_a_key_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = KeySettings(environment="MIGLINK_TEST_KEY")
    monkeypatch.setenv("MIGLINK_TEST_KEY", "k" * 32 + "\n")
    assert load_key(settings) == "k" * 32
    monkeypatch.setenv("MIGLINK_TEST_KEY", "short-secret")
    with pytest.raises(ConfigError, match="fewer than 32 characters") as error:
        load_key(settings)
    assert "short-secret" not in str(error.value)
    monkeypatch.delenv("MIGLINK_TEST_KEY")
    with pytest.raises(ConfigError, match="MIGLINK_TEST_KEY is not set"):
        load_key(settings)


def test_a_key_is_read_from_a_file_of_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    with pytest.raises(ConfigError, match="miglink key"):
        load_key(KeySettings(file=path))
    path.write_text("k" * 64 + "\n", encoding="ascii")
    path.chmod(0o600)
    assert load_key(KeySettings(file=path)) == "k" * 64
    if sys.platform != "win32":
        path.chmod(0o640)
        with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
            load_key(KeySettings(file=path))
    path.chmod(0o600)
    path.write_bytes(os.urandom(64) + b"\xff")
    with pytest.raises(ConfigError, match="is not a key"):
        load_key(KeySettings(file=path))


def test_absence_from_a_register_says_something_only_if_it_covers_the_population(tmp_path: Path) -> None:
    text = DEMO.read_text(encoding="utf-8").replace(
        "../tests/data", str(DEMO.parent.parent / "tests" / "data")
    )
    assert read_config(write(tmp_path, text)).sources["register"].covers_population
    (problem,) = problems(tmp_path, text.replace("    covers_population: true\n", ""))
    assert "`not_listed` need a register with `covers_population: true`" in problem


def test_visas_say_where_somebody_lives_only_for_purposes_that_are_stated(tmp_path: Path) -> None:
    text = DEMO.read_text(encoding="utf-8").replace(
        "../tests/data", str(DEMO.parent.parent / "tests" / "data")
    )
    text += "\nspells: {trust: [death, crossing, activity, register, permit, visa]}\n"
    assert read_config(write(tmp_path, text)).spells.trust[-1] == "visa"
    (problem,) = problems(tmp_path, re.sub(r"  resident_permits: .*\n", "", text))
    assert "`visa` needs `residence.resident_permits`" in problem


def test_variables_of_the_environment_override_the_file_and_set_overrides_both(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    variables = {
        "MIGLINK_ENGINE__MEMORY_LIMIT": "4GB",
        "MIGLINK_LINKAGE__SEED": "5",
        "MIGLINK_SOURCES__BORDER__BOUNDS__MIN_ROWS": "9",
        "MIGLINK_KEY": "not an override",
        "PATH": "/x",
    }
    config = read_config(path, ["linkage.seed=6"], variables)
    assert (config.engine.memory_limit, config.linkage.seed) == ("4GB", 6)
    assert config.sources["border"].bounds.min_rows == 9
    with pytest.raises(ConfigError) as error:
        read_config(path, (), {"MIGLINK_ENGINE__MEMMORY_LIMIT": "4GB"})
    assert (
        "MIGLINK_ENGINE__MEMMORY_LIMIT: engine.memmory_limit: unknown key, did you mean 'memory_limit'?"
        in str(error.value)
    )


def test_a_list_to_be_linked_needs_neither_period_nor_rules(tmp_path: Path) -> None:
    text = """\
name: list
key: {demo: true}
sources:
  members: {kind: people, files: members.csv, columns: {surname: NAME, birth_date: BORN}}
"""
    config = read_config(write(tmp_path, text))
    assert (config.period, config.residence, config.estimates) == (None, None, None)
    assert config.observation.data_to_date == date(9999, 12, 31)
    two_digits = text.replace("BORN", "{from: BORN, formats: ['%d/%m/%y']}")
    assert any("needed to tell the century" in problem for problem in problems(tmp_path, two_digits))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("BORN", "{from: BORN, formats: [YYYY-MM-DD]}", "has no year (%Y or %y)"),
        ("BORN", '{from: BORN, formats: ["%Q/%Y"]}', "has %Q, and only %Y"),
        ("BORN", '{from: BORN, formats: ["%d-%b-%Y"]}', "list the twelve under `months`"),
        ("BORN", "{from: BORN, formats: []}", "the list is empty"),
        ("NAME", '{from: NAME, extract: "(["}', "is no regular expression"),
        ("NAME", '{from: NAME, extract: "a(b)(c)"}', "needs one group in brackets, it has 2"),
    ],
)
def test_formats_and_patterns_that_cannot_work_are_refused(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = """\
name: list
key: {demo: true}
sources:
  members: {kind: people, files: members.csv, columns: {surname: NAME, birth_date: BORN}}
"""
    assert any(said in problem for problem in problems(tmp_path, text.replace(old, new)))
    assert any("memory_limit" in problem for problem in problems(tmp_path, text, "engine.memory_limit=abc"))


BORDER = """  {name}:
    kind: crossings
    files: {name}.csv
    columns: {{crossed_at: A, direction: B, surname: C}}
    covers: {covers}
"""


@pytest.mark.parametrize(
    ("covers", "uncovered"),
    [
        (["{from: 2011-01-01, to: 2024-12-31}"], ""),
        (["{from: 2012-01-01, to: 2016-12-31}", "{from: 2017-01-01, to: 2023-12-31}"], ""),
        (["{from: 2012-01-01, to: 2023-12-31}", "{from: 2013-01-01, to: 2014-12-31}"], ""),
        (["{from: 2012-01-01, to: 9999-12-31}"], ""),
        (["{from: 2012-01-01, to: 2022-12-31}"], "2023-01-01 to 2023-12-31"),
        (["{from: 2012-01-02, to: 2023-12-31}"], "2012-01-01"),
        (
            ["{from: 2013-02-01, to: 2016-12-31}", "{from: 2017-03-01, to: 2019-12-31}"],
            "2012-01-01 to 2013-01-31, 2017-01-01 to 2017-02-28, 2020-01-01 to 2023-12-31",
        ),
        (["{from: 2001-01-01, to: 2002-12-31}"], "2012-01-01 to 2023-12-31"),
    ],
)
def test_days_that_no_crossings_source_covers(tmp_path: Path, covers: list[str], uncovered: str) -> None:
    before, sources, rest = GOOD.partition("sources:\n")
    first = sources + "".join(BORDER.format(name=f"b{n}", covers=one) for n, one in enumerate(covers))
    text = before + first + "residence" + rest.partition("residence")[2]
    if uncovered:
        names = ", ".join(f"b{n}" for n in range(len(covers)))
        (problem,) = problems(tmp_path, text)
        said = f"config.yml:2:1: period: no crossings source covers {uncovered} (`covers` of {names}); shorten the"
        assert problem.startswith(said)
    else:
        read_config(write(tmp_path, text))
    # A source that states nothing is taken as covering the period.
    read_config(write(tmp_path, before + first + rest))


def test_a_rule_of_ones_own_has_a_name_of_its_own(tmp_path: Path) -> None:
    preset = preset_rules()["nz_12_16"].read_text("utf-8")
    text = GOOD.replace("nz_12_16", "mine.yml")
    write(tmp_path, preset, "mine.yml")
    assert read_config(write(tmp_path, text)) == read_config(write(tmp_path, GOOD))
    write(tmp_path, preset.replace("value: 487", "value: 480"), "mine.yml")
    (problem,) = problems(tmp_path, text)
    assert problem.startswith("config.yml:13:21: residence.rules: mine.yml:")
    assert "'nz_12_16' is the name of a preset that has other values; give the rule a name" in problem
    write(tmp_path, preset.replace("value: 487", "value: 480").replace("nz_12_16", "mine"), "mine.yml")
    config = read_config(write(tmp_path, text))
    assert config.residence is not None and config.residence.rules[0].name == "mine"
    inline = config.residence.rules[0].model_dump_json(by_alias=True).replace('"mine"', '"nz_12_16"')
    assert any("name of a preset" in line for line in problems(tmp_path, GOOD.replace("nz_12_16", inline)))
