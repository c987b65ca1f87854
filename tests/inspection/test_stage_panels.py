"""What the notebooks of training and measurement show of their own results."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from replication import paths
from replication.data.pairs import EvaluationPairs
from replication.drawing.pictures import masked_input
from replication.errors import InputError
from replication.inspection import stage_panels
from replication.inspection.stage_panels import completion_panel, metric_spread, training_panel, worst_panel
from replication.methods.opening import open_faces


@pytest.fixture
def grids(monkeypatch):
    """The tiles and titles that `picture_grid` was given."""
    seen, draw = [], stage_panels.picture_grid

    def grid(rows, **words):
        seen.append((rows, words))
        return draw(rows, **words)

    monkeypatch.setattr(stage_panels, "picture_grid", grid)
    return seen


def words_of(figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


@pytest.mark.parametrize("run", ["full", "pconv"])
def test_completions_show_two_faces_of_each_bucket_and_keep_what_is_known(p, grids, run):
    figure = completion_panel(p, run)
    ((rows, words),) = grids
    assert words["title"] == f"{run}: test faces of drawn faces, studio" in words_of(figure)
    triples = [row[k : k + 3] for row in rows for k in range(0, len(row), 3)]
    faces = open_faces(p, "celebahq")
    assert len(triples) == 6
    for number, (masked, completed, truth) in enumerate(triples):
        assert (truth.image == np.asarray(faces.images[faces.rows("test")[number]])).all()
        hole = (masked.image != truth.image).any(axis=2)
        assert (completed.image[~hole] == truth.image[~hole]).all()
        low, high = ((0.01, 0.2), (0.2, 0.4), (0.4, 0.6))[number // 2]
        share = int(masked.note.removeprefix("hole ").removesuffix("%")) / 100
        assert low - 0.005 <= share <= high + 0.005 and completed.note.endswith(" dB")


def test_completions_of_another_protocol_are_of_its_pairs(p, grids):
    completion_panel(p, "on_eyes")
    ((rows, _),) = grids
    assert [len(row) for row in rows] == [6]
    table = EvaluationPairs.open(paths.pairs("eyes", "celebahq")).table
    faces = open_faces(p, "celebahq").images
    assert [(rows[0][k].image == faces[table["image_row"][k // 3]]).all() for k in (2, 5)] == [True, True]


def test_supporting_networks_show_what_they_declare(p, grids):
    titles = {"parser": "parser: labels of test faces", "reconstruction": "reconstruction: test faces rebuilt"}
    for run, title in titles.items():
        assert title in words_of(training_panel(p, run))
    axes = training_panel(p, "attributes").axes[0]
    names = [name for name in open_faces(p, "attributes").index.columns if name.startswith("attr_")]
    assert len(axes.patches) == len(names) > 5
    assert all(0 <= bar.get_width() <= 100 for bar in axes.patches)
    assert not grids
    assert training_panel(p, "full") is not None and len(grids) == 1


def test_the_panel_of_a_published_network_is_none(p):
    found = p.runs.inception | {"inception": p.run("parser").model_copy(update={"dataset": None})}
    with_inception = p.model_copy(update={"runs": p.runs.model_copy(update={"inception": found})})
    assert training_panel(with_inception, "inception") is None


def test_what_was_not_trained_is_refused(p):
    for run in ("slots_32", "pconv_ffhq"):
        if run in p.run_names():
            with pytest.raises(InputError, match="has not been trained yet"):
                training_panel(p, run)
    with pytest.raises(InputError, match=r"^run 'parser': face parser \(BiSeNet\) completes no faces$"):
        completion_panel(p, "parser")


@pytest.fixture
def measured(p):
    """Results of `full`: per-image metrics of every pair, and three kept samples a bucket, all grey."""
    pairs = EvaluationPairs.open(paths.pairs("irregular", "celebahq"))
    table = pairs.table.copy()
    table["PSNR"] = np.arange(len(table))[::-1] + 0.5
    table["L1_percent"], table["SSIM"] = 3.0, np.linspace(0, 1, len(table))
    folder = paths.results("full")
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / "per_image.parquet")
    np.savez(folder / "samples.npz", **{b: np.full((3, 32, 32, 3), 128, np.uint8) for b in pairs.buckets})
    np.savez(folder / "features.npz", real=np.zeros((1, 2)))
    (folder / "card.json").write_text(json.dumps({"samples": dict.fromkeys(pairs.buckets, 3)}))
    return pairs, table


def test_the_worst_kept_samples_come_first_with_their_own_faces_and_holes(p, measured, grids):
    _, table = measured
    worst_panel(p, "full", count=2)
    ((rows, words),) = grids
    assert words["title"] == "full: lowest PSNR among the 3 kept samples of 40-60%"
    assert [len(row) for row in rows] == [6]
    own = table[table["bucket"] == "40-60%"].reset_index(drop=True)
    faces = open_faces(p, "celebahq").images
    for place, k in ((0, 2), (3, 1)):  # PSNR falls along the table; the fourth pair is not kept
        masked, completed, truth = rows[0][place : place + 3]
        line = own.iloc[k]
        hole = stage_panels.MaskStore.open(paths.masks("celebahq")).test[line.mask_row]
        assert (truth.image == faces[line.image_row]).all()
        assert (masked.image == masked_input(np.asarray(truth.image), np.asarray(hole))).all()
        assert completed.note == f"PSNR {line.PSNR:.1f} dB" and (completed.image == 128).all()
    assert isinstance(own, pd.DataFrame) and len(own) == 4


def test_the_spread_of_every_metric_has_a_line_for_each_bucket(p, measured):
    figure = metric_spread("full")
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "L1 (% of full range)", "PSNR (dB)", "SSIM (1 = identical)"
    ]  # fmt: skip
    assert all(len(axes.patches) == 3 for axes in figure.axes)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["1-20%", "20-40%", "40-60%"]
    assert figure.get_suptitle() == "full: spread over test images"
