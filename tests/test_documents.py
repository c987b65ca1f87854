"""The documents are short enough to be read, lead somewhere, and name commands, runs and keys that exist."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from replication.command_line import PAGE, page, parser
from replication.config import Parameters, parameters_of
from replication.graph.closure import imports
from replication.graph.stages import load_stages
from replication.profile_files import profile_names, profile_text
from replication.yaml_files import parse_yaml

ROOT = Path(__file__).parents[1]
WRITTEN = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted(ROOT.glob("docs/*.md"))]
"""Of the package's own documents; those of systems and papers stand in their folders."""
DOCUMENTS = [*WRITTEN, ROOT / "data/README.md", ROOT / "benchmarks/README.md", ROOT / "findings/README.md"]
RUN_VERBS = {"train", "evaluate", "inspect"}
"""Verbs whose first argument is a run."""
FENCED = re.compile(r"^```\w*\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
"""A block of code between fences."""

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())


# ------------------------------------------------------------------------------------------------ length, page


@pytest.mark.parametrize(("name", "most"), [("README.md", 130), ("ARCHITECTURE.md", 150)])
def test_what_everybody_reads_stays_short(name, most):
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= most


def test_the_page_of_the_command_line_is_what_the_parser_says():
    assert (ROOT / PAGE).read_text(encoding="utf-8") == page(), "`python -m replication pipeline` writes it"


@each_document
def test_no_path_of_a_machine(path):
    text = path.read_text(encoding="utf-8")
    assert [part for part in ("/home/", "/work/", "/Users/", "/root/", "/tmp/") if part in text] == []


# ------------------------------------------------------------------------------------------------ links


@pytest.fixture(scope="module")
def tracked() -> set[str]:
    """Files in git, or about to be, and the folders around them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    files = [Path(line) for line in done.stdout.splitlines()]
    return {place.as_posix() for file in files for place in (file, *file.parents)}


def leads_somewhere(place: str, tracked: set[str]) -> bool:
    return place in tracked or any(stage.makes(place) for stage in load_stages(ROOT).values())


def links(text: str) -> list[str]:
    """Targets of Markdown links and pictures that are no address on the web."""
    found = re.findall(r"\]\(([^)\s]+)\)", without_code(text))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def without_code(text: str) -> str:
    """Markdown without its code blocks."""
    return "\n".join(line for line in FENCED.sub("", text).splitlines() if not line.startswith("    "))


def anchors(text: str) -> set[str]:
    """What GitHub calls the headings of a document."""
    heads = re.findall(r"^#+ (.+)$", without_code(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@each_document
def test_links_lead_to_tracked_files_or_outputs_of_the_pipeline(path, tracked):
    wrong = []
    for target in links(path.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not leads_somewhere(file.relative_to(ROOT).as_posix(), tracked) or (
            anchor and anchor not in anchors(file.read_text(encoding="utf-8"))
        ):
            wrong.append(target)
    assert wrong == []


def test_the_readme_leads_to_every_document():
    named = {(ROOT / target).resolve() for target in links((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert set(DOCUMENTS) - {ROOT / "README.md"} <= named


@each_document
def test_files_of_the_package_that_are_named_exist(path, tracked):
    """`data/pairs.py` stands for replication/data/pairs.py."""
    named = re.findall(r"`((?:[\w.]+/)+[\w.]+\.(?:py|ipynb))(?::\d+)?`", path.read_text(encoding="utf-8"))
    assert [n for n in named if not {n, f"replication/{n}"} & tracked and n.split("/")[0] != "reports"] == []


# ------------------------------------------------------------------------------------------------ commands


def code_lines(text: str) -> Iterator[str]:
    """Indented and fenced lines of code and code within sentences, without comments."""
    fenced = FENCED.findall(text)
    indented = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    inline = [one.replace("\n", " ") for one in re.findall(r"`([^`]+)`", FENCED.sub("", text))]
    for line in [*(line for block in fenced for line in block.splitlines()), *indented, *inline]:
        yield re.sub(r"(^|\s)#.*$", "", line).strip()


def commands(text: str) -> list[str]:
    """Each command of a line: parts joined by && are several."""
    return [part.strip() for line in code_lines(text) for part in line.split("&&")]


def arguments_of(command: str) -> list[str] | None:
    """What follows `python -m replication` (or torchrun's -m), placeholders replaced; None if it is another command."""
    found = re.search(r"(?:^python|^torchrun .*?) -m replication +(\S.*)$", command)
    if found is None:
        return None
    words = shlex.split(re.sub(r"[\[\]]|\.\.\.", "", found[1]))
    return ["1" if re.fullmatch(r"[A-Z]+", word) and word not in ("HEAD",) else word for word in words]


@each_document
def test_every_command_parses(path, capsys):
    wrong = []
    for command in commands(path.read_text(encoding="utf-8")):
        arguments = arguments_of(command)
        if arguments is None or arguments == ["VERB"] or arguments == ["1"]:
            continue
        try:
            parser().parse_args(arguments)
        except SystemExit:
            wrong.append(f"{command}: {capsys.readouterr().err.splitlines()[-1]}")
    assert wrong == []


def test_the_documents_show_most_verbs():
    """Else the test above may have stopped finding commands."""
    shown = {
        arguments[0]
        for path in WRITTEN
        if path.name != PAGE.name
        for command in commands(path.read_text(encoding="utf-8"))
        if (arguments := arguments_of(command))
    }
    assert {"compare-losses", "diff", "doctor", "download", "evaluate", "execute", "inspect", "profile"} <= shown


def known_runs() -> set[str]:
    """Runs of the profile demo, and those that a document adds."""
    added = [one for path in DOCUMENTS for one in yaml_blocks(path.read_text(encoding="utf-8"))]
    runs = [merged(one)["runs"] for one in [{}, *added]]
    return {name for sections in runs for section in sections.values() for name in section or {}}


@each_document
def test_runs_and_profiles_in_commands_exist(path):
    runs, wrong = known_runs(), []
    for command in commands(path.read_text(encoding="utf-8")):
        words = arguments_of(command) or [""]
        name = words[1] if len(words) > 1 else "1"
        if (words[0] in RUN_VERBS and name not in runs | {"1"}) or (
            words[0] == "profile" and name not in [*profile_names(), "1"]
        ):
            wrong.append(command)
    assert wrong == []


@each_document
def test_stages_in_commands_exist(path):
    named = re.findall(r"\b(\w+@\w+)", "\n".join(c for c in commands(path.read_text(encoding="utf-8")) if "dvc" in c))
    assert [stage for stage in named if stage not in load_stages(ROOT)] == []


@each_document
def test_notebooks_are_given_parameters_that_they_have(path):
    for command in commands(path.read_text(encoding="utf-8")):
        words = arguments_of(command) or [""]
        if words[0] != "execute" or words[1] == "1":
            continue
        cells = json.loads((ROOT / words[1]).read_text(encoding="utf-8"))["cells"]
        (tagged,) = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
        names = {target.id for node in ast.parse("".join(tagged["source"])).body for target in node.targets}
        given = dict(parser().parse_args(words).parameter)
        assert set(given) <= names, command


@each_document
def test_targets_of_make_exist(path):
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    found = [re.match(r"make ([a-z]+)( [A-Z]+=|$)", c) for c in commands(path.read_text(encoding="utf-8"))]
    assert [one[1] for one in found if one and one[1] not in targets] == []


# ------------------------------------------------------------------------------------------------ params.yaml


def yaml_blocks(text: str) -> list[dict]:
    """Fenced pieces of params.yaml."""
    return [parse_yaml(one[1], "a document") for one in FENCED.finditer(text) if one[0].startswith("```yaml")]


def merged(piece: dict) -> dict:
    """The profile demo with a piece put over it."""

    def over(below: dict, above: dict) -> dict:
        both = [k for k in above if isinstance(above[k], dict) and isinstance(below.get(k), dict)]
        # A set of another source has other keys: it takes the place of what was there.
        return below | above | {k: over(below[k], above[k]) for k in both if "source" not in above[k]}

    return over(parse_yaml(profile_text("demo"), "demo"), piece)


@each_document
def test_pieces_of_params_yaml_are_accepted(path):
    for piece in yaml_blocks(path.read_text(encoding="utf-8")):
        assert isinstance(parameters_of(merged(piece), path.name), Parameters)


def test_a_piece_with_a_wrong_key_would_be_refused():
    with pytest.raises(Exception, match="temperatur"):
        parameters_of(merged({"runs": {"mdrnet": {"full": {"change": {"memory": {"temperatur": 1.0}}}}}}), "a document")


# ------------------------------------------------------------------------------------------------ rooms


def rooms() -> list[set[str]]:
    """The lines of the table of rooms in ARCHITECTURE.md, top to bottom."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = text.split("| room |")[1].split("\n\n")[0].splitlines()[2:]
    return [set(re.findall(r"`(\w+)/?`", line.split("|")[1])) for line in table]


def test_the_table_of_rooms_names_every_room_and_imports_run_down_it():
    package = ROOT / "replication"
    order = {name: rank for rank, line in enumerate(rooms()) for name in line}
    lowest = max(order.values())
    found = {path.name for path in package.iterdir() if (path / "__init__.py").is_file()}
    assert found <= set(order), sorted(found - set(order))
    wrong = []
    for path in package.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        here = path.relative_to(package).parts[0].removesuffix(".py")
        below = {one.split(".")[1] for one in imports(name) if "." in one}
        wrong += [f"{name} imports {one}" for one in below if order.get(here, lowest) > order.get(one, lowest)]
    assert wrong == []
