"""The first losses of trainings: read, kept as a file, compared, and compared between two states of a checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy_checkouts import PARAMETERS, Checkout

from replication.errors import InputError
from replication.history import losses
from replication.history.losses import (
    GOLDEN,
    TOLERANCE,
    compare,
    first_losses,
    read_golden,
    report_losses,
    write_golden,
)

HISTORY = "step,images_seen,loss,lr\n1,16,0.1,9.999999747378752e-06\n2,32,0.30000000000000004,\n3,48,5e-324,1.0\n"
LOSSES = {"step": [1, 2, 3], "loss": [0.1, 0.1 + 0.2, 5e-324], "lr": [9.999999747378752e-06, None, 1.0]}


def write_history(root: Path, training: str = "wide/network/seed_0", text: str = HISTORY) -> Path:
    file = root / "data/models" / training / "history.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_losses_come_back_to_the_last_digit(tmp_path):
    write_history(tmp_path)
    write_history(tmp_path, "wide/head/seed_1")
    write_history(tmp_path, "no/training")
    assert first_losses(tmp_path / "data/models") == {"wide/head/seed_1": LOSSES, "wide/network/seed_0": LOSSES}
    (two,) = {json.dumps(one) for one in first_losses(tmp_path / "data/models", count=2).values()}
    assert json.loads(two) == {name: values[:2] for name, values in LOSSES.items()}


@pytest.mark.parametrize("text", ["loss\n1\n", "step,loss\n1,much\n", "step,loss\n1.5,1\n", "step,loss\n1\n", ""])
def test_a_file_that_is_no_history_is_named(tmp_path, text):
    file = write_history(tmp_path, text=text)
    with pytest.raises(InputError, match=f"^{file} is not the history of a training: it needs a column `step`"):
        first_losses(tmp_path / "data/models")


def test_the_file_holds_what_was_read_and_how_it_was_rounded(tmp_path):
    import torch

    write_history(tmp_path)
    path = write_golden(tmp_path / "golden.json", tmp_path / "data/models", threads=3, channels_last=False)
    golden = read_golden(path.read_bytes())
    assert golden.profile == "smoke" and golden.trainings == {"wide/network/seed_0": LOSSES}
    assert golden.computed == losses.rounding(channels_last=False, threads=3)
    assert golden.computed["threads"] == 3 and golden.computed["torch"] == torch.__version__
    assert '      "loss": [0.1, 0.30000000000000004, 5e-324]' in path.read_text().splitlines()[6]
    with pytest.raises(InputError, match="nothing holds no history of a training: `make repro PROFILE=smoke` trains"):
        write_golden(tmp_path / "other.json", tmp_path / "nothing")
    for text in ("{", "[]", "{}", '{"profile": "smoke", "computed": {}, "trainings": [1]}'):
        with pytest.raises(InputError, match=r"^the file is no file of losses"):
            read_golden(text, "the file")


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({}, None),
        ({"loss": [0.1, 0.3, 5e-324]}, "step 2, loss: 0.30000000000000004 in A, 0.3 in B"),
        ({"lr": [1e-5, None, 1.0]}, "step 1, lr: 9.999999747378752e-06 in A, 1e-05 in B"),
        ({"lr": [9.999999747378752e-06, 0.0, 1.0]}, "step 2, lr: no number in A, 0.0 in B"),
        ({"step": [1, 2, 4]}, "recorded at step 3 in A, at step 4 in B"),
        ({"style": [1, 2, 3]}, None),  # a scalar that was not recorded before
        ({"step": [1, 2], "loss": [0.1, 0.1 + 0.2], "lr": LOSSES["lr"][:2]}, "3 recorded steps in A, 2 in B"),
    ],
)
def test_the_first_difference_of_a_training_is_told(change, sentence):
    found = compare({"wide": LOSSES}, {"wide": LOSSES | change}, names=("A", "B"))
    assert found == ([] if sentence is None else [f"wide: {sentence}"])


def test_a_column_that_was_lost_is_a_difference():
    more = LOSSES | {"style": [1, 2, 3]}
    assert compare({"wide": more}, {"wide": LOSSES}, names=("A", "B")) == ["wide: column style only in A"]
    assert compare({"wide": LOSSES}, {"wide": more | {"loss": [0.1, 0.3, 5e-324]}}, names=("A", "B")) == [
        "wide: step 2, loss: 0.30000000000000004 in A, 0.3 in B"
    ]


def test_one_sentence_for_each_training_that_differs():
    a, b = {"x": LOSSES, "y": LOSSES, "z": LOSSES}, {"y": LOSSES, "z": LOSSES | {"loss": [1, 2, 3]}, "new": LOSSES}
    assert compare(a, b) == [
        "x: only in the first",
        "z: step 1, loss: 0.1 in the first, 1 in the second",
        "new: only in the second",
    ]


def test_the_tolerance_is_relative():
    near = LOSSES | {"loss": [0.1001, 0.3, 5e-324]}
    assert compare({"x": LOSSES}, {"x": near}, 2e-3) == []
    assert compare({"x": LOSSES}, {"x": near}, 1e-4) == ["x: step 1, loss: 0.1 in the first, 0.1001 in the second"]


# ------------------------------------------------------------------------------------------------ two states


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Its HEAD has a file of losses and no trained models, the workspace has the histories that the file is of."""
    made = Checkout(tmp_path / "checkout")
    monkeypatch.chdir(made.root)
    made.write("params.yaml", PARAMETERS | {"profile": "smoke", "compute": {"channels_last": True}})
    write_history(made.root)
    write_golden()
    made.commit()
    return made


def test_the_workspace_is_held_against_the_file_of_head(checkout):
    text, code = report_losses()
    head = f"HEAD ({checkout.git('rev-parse', '--short=7', 'HEAD')})"
    assert code == 0 and text.splitlines() == [
        f"{head}: the file tests/golden/smoke_losses.json, 1 trainings of smoke",
        "the workspace: the histories in data/models, 1 trainings of smoke",
        "no loss differs",
    ]
    write_history(checkout.root, text=HISTORY.replace("0.30000000000000004", "0.3"))
    text, code = report_losses()
    assert code == 1 and text.splitlines()[2:] == [
        f"wide/network/seed_0: step 2, loss: 0.30000000000000004 in {head}, 0.3 in the workspace",
        "1 of 1 trainings differ",
    ]


def test_on_another_machine_rounding_is_no_difference(checkout):
    golden = json.loads(GOLDEN.read_text())
    golden["computed"]["torch"] = "1.0"
    GOLDEN.write_text(json.dumps(golden))
    checkout.commit()
    write_history(checkout.root, text=HISTORY.replace("0.30000000000000004", "0.3"))
    text, code = report_losses()
    assert code == 0 and "rounded differently (torch 1.0, then " in text
    assert f"allowed is a relative difference of {TOLERANCE:g}" in text and text.endswith(
        "no loss differs by more than that\n"
    )
    write_history(checkout.root, text=HISTORY.replace("0.30000000000000004", "9.4"))
    assert report_losses()[1] == 1
    write_history(checkout.root, text=HISTORY.replace("0.30000000000000004", "0.31"))
    assert report_losses()[1] == 0 and report_losses(tolerance=0.01)[1] == 1


def test_a_tolerance_may_be_asked_for(checkout):
    write_history(checkout.root, text=HISTORY.replace("0.30000000000000004", "0.31"))
    assert report_losses()[1] == 1 and report_losses(tolerance=0.03)[1] == 1
    text, code = report_losses(tolerance=0.05)
    assert code == 0 and "allowed is a relative difference of 0.05" in text
    for wrong in (-1, float("nan")):
        with pytest.raises(InputError, match=r"^tolerance (-1|nan): must be 0 or more$"):
            report_losses(tolerance=wrong)


def test_files_of_two_revisions_where_no_histories_are_left(checkout):
    before = checkout.git("rev-parse", "HEAD")
    GOLDEN.write_text(GOLDEN.read_text().replace("0.30000000000000004", "0.3"))
    checkout.commit()
    shutil.rmtree("data")
    text, code = report_losses(before, "HEAD")
    assert code == 1 and text.count("the file tests/golden/smoke_losses.json") == 2
    assert report_losses("HEAD", "workspace")[1] == 0


def test_other_profiles_have_nothing_in_common(checkout):
    checkout.write("params.yaml", PARAMETERS | {"profile": "demo"})
    with pytest.raises(InputError) as refusal:
        report_losses()
    has = "smoke_losses.json of smoke, the workspace has the histories in data/models of demo; `make repro"
    assert has in str(refusal.value)
    GOLDEN.unlink()
    checkout.commit()
    with pytest.raises(InputError, match=r"has neither histories nor tests/golden/smoke_losses\.json"):
        report_losses()


def test_histories_come_out_of_dvcs_cache(checkout):
    def dvc(*arguments: str) -> None:
        environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
        subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True, capture_output=True, env=environment)

    dvc("init", "-q")
    out = {"cmd": "true", "outs": ["data/models/wide/network"]}
    checkout.write("dvc.yaml", {"stages": {"train": out}})
    Path("dvc.lock").unlink()
    dvc("commit", "-f", "-q")
    before = checkout.commit()
    write_history(checkout.root, text=HISTORY.replace("0.30000000000000004", "0.3"))
    dvc("commit", "-f", "-q")
    checkout.commit()
    text, code = report_losses(before, "HEAD")
    assert code == 1 and text.count("the histories in DVC's cache, 1 trainings of smoke") == 2
    assert "wide/network/seed_0: step 2, loss: 0.30000000000000004 in" in text
    shutil.rmtree(".dvc/cache")
    shutil.rmtree("data")
    text, code = report_losses(before, "HEAD")
    assert code == 0 and text.count("the file tests/golden/smoke_losses.json") == 2
