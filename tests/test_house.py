"""The rules of the house: sizes, names, and SQL that would change its meaning on another engine."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "miglink"
SOURCES = sorted(
    path for folder in ("src", "tests", "synthetic", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)
OURS = [path for path in SOURCES if path.is_relative_to(PACKAGE)]

MOST_LINES, MOST_FUNCTION_LINES, MOST_ARGUMENTS = 400, 60, 6
BANNED_NAMES = {"utils", "util", "helpers", "common", "misc", "base", "core", "manager"}

FOR_SPLINK = "JARO_WINKLER_SIMILARITY outside Splink"
OWN_HASH = "an engine's own hash()"
# What changes its meaning silently, or does not exist, on the way from DuckDB to Spark.
BANNED_SQL = {
    "LIST(x ORDER BY x)": r"\blist\s*\((?:[^()]|\([^()]*\))*\border\s+by\b",
    "CAST(a fraction AS INT): write ROUND or FLOOR": r"\bcast\s*\(\s*\d*\.\d+\s+as\s+(?:int|bigint|smallint|integer)\b",
    "SUBSTRING from 0: start at 1": r"\bsubstr(?:ing)?\s*\([^(),]+,\s*0\s*[,)]",
    "SELECT * … QUALIFY: use a CTE": r"\bselect\s+(?:\w+\.)?\*[^;]*\bqualify\b",
    "date_diff in months or years: count completed months": r"\bdate_?diff\s*\(\s*'(?:month|year|quarter)s?'",
    "datesub in months or years": r"\bdate_?sub\s*\(\s*'(?:month|year|quarter)s?'",
    "dayofweek": r"\bday_?of_?week\s*\(",
    "date − date as a number: write date_diff('day', …)": r"(?:_date|\bdate\s+'[^']+')\s*-\s*(?:\w+\.)?(?:\w+_)?date\b",
    "ASOF JOIN": r"\basof\s+(?:left\s+)?join\b",
    "STRIP_ACCENTS": r"\bstrip_accents\s*\(",
    FOR_SPLINK: r"\bjaro_winkler_similarity\s*\(",
    "date_trunc without CAST(… AS DATE): on Spark it gives a time": r"(?<!\bcast\()\bdate_trunc\s*\(",
    OWN_HASH: r"(?<![\w.])hash\s*\(",
}
REPLACE = re.compile(r"\bregexp_replace\s*\(", re.IGNORECASE)
# Days and longer; hours and shorter are added to a time, which stays one.
LONG = r"(?:day|week|month|quarter|year)s?\b"
INTERVAL = re.compile(
    rf"\binterval\s*(?:'[^']*{LONG}\s*'|(?:'[^']*'|\([^()]*\)|\w+)\s*{LONG})", re.IGNORECASE
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The string literals of a module, docstrings left out; what an f-string puts in stands as `x`."""
    nodes = list(ast.walk(tree))
    documentation = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    pieces = {id(value) for node in nodes if isinstance(node, ast.JoinedStr) for value in node.values}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values]
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and id(node) not in documentation | pieces:
            yield node.lineno, str(node.value)


def test_texts_within_texts_are_read() -> None:
    module = ast.parse('"""LIST doc"""\nk = f"a {g(f\'b {c} d\')} e"\nh("i")\n')
    assert sorted(text for _, text in texts(module)) == ["a x e", "b x d", "i"]


def arguments(text: str, start: int) -> list[str]:
    """The arguments of a call whose opening bracket ends at `start`."""
    found: list[str] = []
    depth, quoted, begin = 0, False, start
    for at in range(start, len(text)):
        if text[at] == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif text[at] in "([":
            depth += 1
        elif text[at] in ")]":
            if depth == 0:
                return [*found, text[begin:at].strip()]
            depth -= 1
        elif text[at] == "," and depth == 0:
            found.append(text[begin:at].strip())
            begin = at + 1
    return found


def is_cast_to_date(text: str, at: int) -> bool:
    """Whether one of the brackets around a position is CAST(… AS DATE)."""
    depth = 0
    for begin in range(at - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[begin], 0)
        if depth < 0:
            depth = 0
            (*_, last) = arguments(text, begin + 1) or [""]
            if re.search(r"\bcast\s*$", text[:begin], re.IGNORECASE) and re.search(
                r"\bas\s+date$", last, re.IGNORECASE
            ):
                return True
    return False


def banned(text: str) -> list[str]:
    """What in a text is banned SQL."""
    found = [what for what, pattern in BANNED_SQL.items() if re.search(pattern, text, re.IGNORECASE)]
    if any(not is_cast_to_date(text, match.start()) for match in INTERVAL.finditer(text)):
        found.append("date + INTERVAL, or a series of dates, without CAST(… AS DATE)")
    for call in REPLACE.finditer(text):
        given = arguments(text, call.end())
        if len(given) < 4 or "g" not in given[3]:
            found.append("regexp_replace without the 'g' option")
    return found


@pytest.mark.parametrize(
    "select",
    [
        "SELECT LIST(x ORDER BY x) FROM t",
        "SELECT list(upper(x) ORDER BY y DESC) FROM t",
        "SELECT CAST(2.5 AS INT)",
        "SELECT SUBSTRING(x, 0, 3)",
        "SELECT birth_date + INTERVAL 1 DAY",
        "SELECT a.birth_date - INTERVAL '1' YEAR FROM a",
        "SELECT GENERATE_SERIES(DATE '2020-01-01', DATE '2021-01-01', INTERVAL 1 DAY)",
        "SELECT * FROM t QUALIFY row_number() OVER () = 1",
        "SELECT t.* FROM t QUALIFY row_number() OVER () = 1",
        "SELECT date_diff('month', a, b)",
        "SELECT datediff('year', a, b)",
        "SELECT dayofweek(x)",
        "SELECT end_date - start_date",
        "SELECT a.end_date - b.start_date",
        "SELECT DATE '2020-01-01' - start_date",
        "FROM a ASOF JOIN b",
        "SELECT strip_accents(x)",
        "SELECT jaro_winkler_similarity(a, b)",
        "SELECT hash(x)",
        "SELECT date_trunc('month', crossed_date)",
        "SELECT regexp_replace(x, '[(,]', '')",
        "SELECT regexp_replace(upper(x), 'a', 'b', 'i')",
    ],
)
def test_banned_sql_is_found(select: str) -> None:
    assert banned(select)


@pytest.mark.parametrize(
    "select",
    [
        "SELECT list_sort(list(x)) FROM t ORDER BY x",
        "SELECT CAST(x AS INT), substring(x, 10, 2), date_diff('day', a, b)",
        "SELECT CAST(birth_date + INTERVAL 1 DAY AS DATE)",
        "SELECT CAST(a.birth_date + INTERVAL (n) DAY AS DATE)",
        "SELECT CAST(UNNEST(GENERATE_SERIES(a, b, INTERVAL '1' MONTH)) AS DATE)",
        "SELECT crossed_at + INTERVAL 15 MINUTE",
        "SELECT regexp_replace(x, '[(,]', '', 'g')",
        "SELECT sha256(x)",
        "SELECT CAST(date_trunc('month', crossed_date) AS DATE)",
        "WITH a AS (SELECT * FROM t) SELECT x FROM a",
    ],
)
def test_sound_sql_passes(select: str) -> None:
    assert not banned(select)


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_sql_means_the_same_on_every_engine(path: Path) -> None:
    found = [
        (line, what) for line, text in texts(ast.parse(path.read_text("utf-8"))) for what in banned(text)
    ]
    if path.is_relative_to(
        PACKAGE / "engine"
    ):  # what an engine calls its own is behind one name (fingerprint)
        found = [(line, what) for line, what in found if what != OWN_HASH]
    if path.is_relative_to(PACKAGE / "stages" / "linkage"):  # the SQL of comparisons is Splink's to translate
        found = [(line, what) for line, what in found if what != FOR_SPLINK]
    assert not found


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_stay_small(path: Path) -> None:
    assert path.read_text("utf-8").count("\n") <= MOST_LINES


@pytest.mark.parametrize("path", [p for p in SOURCES if not p.is_relative_to(ROOT / "tests")], ids=name_of)
def test_functions_stay_small(path: Path) -> None:
    text, found = path.read_text("utf-8"), []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        n_lines = (node.end_lineno or node.lineno) - node.lineno + 1
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        n_arguments = len([argument for argument in given if argument.arg not in ("self", "cls")])
        if n_lines > MOST_FUNCTION_LINES:
            found.append(f"{node.name}: {n_lines} lines")
        if n_arguments > MOST_ARGUMENTS and not is_command(node):
            found.append(f"{node.name}: {n_arguments} arguments")
    assert not found


def is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A function whose arguments are the options of a command: they are the user's, not a caller's."""
    return any(ast.unparse(decorator).startswith("app.command(") for decorator in node.decorator_list)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_modules_are_named_by_what_they_produce(path: Path) -> None:
    assert path.stem not in BANNED_NAMES
    assert not BANNED_NAMES & set(path.relative_to(ROOT).parts)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_only_the_public_side_of_splink_is_used(path: Path) -> None:
    modules = [module for node in ast.walk(ast.parse(path.read_text("utf-8"))) for module in imports(node)]
    assert not [module for module in modules if module.startswith("splink.internals")]


def test_every_library_that_is_imported_is_a_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    dependencies = [*project["dependencies"], *extras["spark"], *extras["sdc"]]
    declared = {re.split(r"[<>=.\[]", dependency)[0].strip() for dependency in dependencies}
    imported = {
        module.split(".")[0]: name_of(path)
        for path in OURS
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for module in imports(node)
    }
    ours = {*sys.stdlib_module_names, "miglink", "pydantic_core"}  # pydantic brings its core
    undeclared = {module: place for module, place in imported.items() if module not in declared | ours}
    assert not undeclared
    assert declared <= set(imported)


def imports(node: ast.AST) -> list[str]:
    """The modules that a statement imports, or imports names from."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def test_no_path_of_somebodys_machine_is_in_the_tree() -> None:
    endings = {".py", ".yml", ".yaml", ".md", ".toml", ".json", ".csv", "", ".sql"}
    paths = [
        path
        for folder in ("src", "tests", "synthetic", "benchmarks", "configs", "docs", ".ci")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in endings and "__pycache__" not in path.parts
    ]
    paths += [path for path in ROOT.iterdir() if path.is_file() and path.suffix in endings]
    personal = re.compile(rb"(?:/(?:home|root|Users)/[A-Za-z]|[A-Z]:\\\\?Users\\|/tmp/[a-z])")
    found = [name_of(path) for path in paths if path != Path(__file__) and personal.search(path.read_bytes())]
    assert len(paths) > len(SOURCES)
    assert not found
