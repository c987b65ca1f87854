"""Where a file came from, on a checkout of two stages."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from replication.errors import InputError
from replication.graph.stages import load_stages
from replication.history import records
from replication.history.lineage import lineage
from replication.history.records import recorded

DVC_YAML = """
stages:
  draw:
    cmd: python draw.py
    deps: [draw.py]
    params: [size]
    outs: [faces]
  count:
    cmd: python count.py
    deps: [count.py, faces]
    outs: [reports/total.txt]
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Both stages run by DVC, and recorded."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / "params.yaml").write_text("size: 64\n")
    (tmp_path / "draw.py").write_text(
        "import os\nos.makedirs('faces', exist_ok=True)\nopen('faces/a', 'w').write('x')\n"
    )
    (tmp_path / "count.py").write_text(
        "import os\nos.makedirs('reports', exist_ok=True)\nopen('reports/total.txt', 'w').write('1')\n"
    )
    dvc, environment = [sys.executable, "-m", "dvc"], os.environ | {"DVC_NO_ANALYTICS": "1"}
    subprocess.run([*dvc, "init", "-q", "--no-scm"], check=True, env=environment)
    subprocess.run([*dvc, "repro", "-q"], check=True, env=environment)
    for stage in load_stages().values():
        with recorded(stage):
            pass
    yield tmp_path
    records.digest_of.cache_clear()


def run(name: str) -> None:
    """Record a run of the stage, with the files as they lie there now."""
    records.digest_of.cache_clear()
    with recorded(load_stages()[name]):
        pass


def test_the_story_goes_back_to_the_first_stage(checkout):
    story = lineage("reports/total.txt").splitlines()
    assert story[:2] == ["reports/total.txt", "  state       as its stage wrote it"]
    assert story[2] == "  made by     count: python count.py"
    assert any(line.startswith("  draw: commit ") for line in story[story.index("made from") :])
    assert "  parameter   size = 64" in lineage("faces/a").splitlines()
    assert not any("changed" in line for line in story)


def test_what_changed_since_is_said(checkout):
    (checkout / "count.py").write_text("pass\n")
    (checkout / "reports" / "total.txt").write_text("2")
    story = lineage("reports/total.txt")
    assert "reports/total.txt was CHANGED since" in story and "count.py has changed since" in story


def test_parameters_that_were_edited_since_are_said(checkout):
    (checkout / "params.yaml").write_text("size: 32\n")
    assert "              the parameter size has changed since" in lineage("faces/a").splitlines()
    assert "; the parameter size has changed since" in lineage("reports/total.txt")
    (checkout / "params.yaml").write_text("other: 32\n")
    assert "the parameter size is gone" in lineage("faces/a")


def test_a_later_run_of_a_stage_before_is_not_told_as_the_past(checkout):
    """As after `dvc repro draw` alone: the total is of faces that are gone."""
    assert "NOT THE RUN" not in lineage("reports/total.txt")
    (checkout / "draw.py").write_text("pass\n")
    (checkout / "faces" / "a").write_text("y")
    run("draw")
    story = lineage("reports/total.txt").splitlines()
    assert "              faces has changed since" in story
    drawn = next(i for i, line in enumerate(story) if line.startswith("  draw: commit "))
    assert story[drawn + 1].strip() == "NOT THE RUN that count used: faces is another one now"
    assert "NOT THE RUN" not in lineage("faces/a")
    # Run once more with the same outcome, it is as good as the run that was used.
    (checkout / "faces" / "a").write_text("x")
    run("draw")
    assert "NOT THE RUN" not in lineage("reports/total.txt")


def test_a_record_of_another_run_than_the_file_is_not_told_as_its_past(checkout):
    """As after `dvc checkout`, or where DVC's run cache had the output: records are not DVC's, and stay."""
    (checkout / "reports/total.txt").write_text("2")
    run("count")
    (checkout / "reports/total.txt").write_text("1")
    records.digest_of.cache_clear()
    story = lineage("reports/total.txt").splitlines()
    assert story[1] == "  state       as its stage wrote it"
    assert story[2] == "  NOT THE RUN told below, which made another one: this one came out of DVC's cache"
    (checkout / "reports/total.txt").write_text("3")
    records.digest_of.cache_clear()
    assert "NOT THE RUN" not in lineage("reports/total.txt")
    assert "reports/total.txt was CHANGED since" in lineage("reports/total.txt")


def test_of_a_shared_folder_nobody_is_accused(checkout):
    """`total` depends on a folder with the outs of two stages, of which one is run anew."""
    (checkout / "dvc.yaml").write_text("""
stages:
  a: {cmd: a, deps: [draw.py], outs: [shared/a]}
  b: {cmd: b, deps: [draw.py], outs: [shared/b]}
  total: {cmd: c, deps: [shared], outs: [sum.txt]}
""")
    (checkout / "shared").mkdir()
    for name in ("shared/a", "shared/b", "sum.txt"):
        (checkout / name).write_text("1")

    for name in ("a", "b", "total"):
        run(name)
    (checkout / "shared/a").write_text("2")
    run("a")
    story = lineage("sum.txt")
    assert "NOT THE RUN" not in story and "shared has changed since" in story
    (checkout / "shared/b").unlink()
    records.digest_of.cache_clear()
    assert "NOT THE RUN" not in lineage("sum.txt")


def test_every_user_of_a_stage_that_was_run_anew_is_told(checkout):
    (checkout / "dvc.yaml").write_text("""
stages:
  draw: {cmd: a, deps: [draw.py], outs: [faces]}
  mid: {cmd: b, deps: [faces], outs: [mid.txt]}
  total: {cmd: c, deps: [faces, mid.txt], outs: [sum.txt]}
""")
    for name in ("mid.txt", "sum.txt"):
        (checkout / name).write_text("1")

    for name in ("draw", "mid", "total"):
        run(name)
    (checkout / "faces" / "a").write_text("2")
    run("draw")
    run("total")
    story = lineage("sum.txt")
    assert "draw: see above, NOT THE RUN that mid used: faces is another one now" in story
    assert story.count("NOT THE RUN") == 1


def test_what_cannot_be_told_is_refused(checkout):
    with pytest.raises(InputError, match=r"other\.txt is made by no stage of dvc\.yaml"):
        lineage("other.txt")
    with pytest.raises(InputError, match="faces/a does not exist; `dvc repro draw` makes it"):
        (checkout / "faces" / "a").unlink()
        lineage("faces/a")
    records.record_path("count").unlink()
    with pytest.raises(InputError, match="its stage count has no record here"):
        lineage("reports/total.txt")


def test_the_story_fits_a_terminal(checkout):
    """Commands, versions and parameters are long; what has to be copied is not broken."""
    long = "a_folder_with_a_rather_long_name/" * 4 + "file.txt"
    (checkout / "dvc.yaml").write_text(
        DVC_YAML.replace("python draw.py", f"python draw.py --from {long} --to {long}").replace(
            "params: [size]", "params: [size, words]"
        )
    )
    (checkout / "params.yaml").write_text(f"size: 64\nwords: {['many', 'words'] * 20}\n")
    run("draw")
    story = lineage("faces/a")
    assert all(len(line) <= 120 or long in line for line in story.splitlines())
    lines = [line for line in story.splitlines() if line.strip() == long]
    assert lines and all(line.startswith(" " * 14) for line in lines)
    assert " ".join(story.split()).count(f"python draw.py --from {long} --to {long}") == 1
    assert "scikit-image" in story and "pytorch-fid" in story
