from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from replication.data.masks import write_mask_store
from replication.data.pairs import write_pairs
from replication.data.store import Chunk, write_store
from replication.drawing import style
from replication.errors import InputError
from replication.reporting.figures.comparison import (
    Samples,
    choose_pairs,
    comparison_figure,
    load_samples,
    showface_figures,
)

SIZE, KEPT = 16, 2


def masks(rng: np.random.Generator, count: int):
    """`count` masks per bucket, all different."""
    for rows in (2, 5, 8):
        batch = np.zeros((count, SIZE, SIZE), np.uint8)
        for mask in batch:
            mask[3 : 3 + rows] = 1
            mask[0, rng.choice(SIZE, 4, replace=False)] = 1
            mask[-1] = rng.integers(0, 2, SIZE) * (rows > 4)
        yield batch


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Stores of six test faces each, pairs, and samples of some experiments."""
    root = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    prepared, results = root / "prepared", root / "results"
    test = list(masks(rng, 6))
    mask_store = write_mask_store(prepared / "masks", size=SIZE, train=masks(rng, 2), test=test, source={})
    for dataset in ("celebahq", "ffhq"):
        rows = pd.DataFrame({"id": [f"{dataset}{i}" for i in range(7)], "split": ["train"] + ["test"] * 6})
        faces = rng.integers(0, 256, (7, SIZE, SIZE, 3)).astype(np.uint8)
        chunks = [Chunk(faces, rows)]
        store = write_store(prepared / dataset, name=dataset, size=SIZE, chunks=chunks, source={})
        pairs = write_pairs(prepared / "pairs" / f"{dataset}.csv", store, mask_store, seed=0)
        names = {"celebahq": ("full", "pconv", "no_mrem", "slots_64"), "ffhq": ("full_ffhq",)}[dataset]
        for name in names:
            folder = results / name / "seed_0"
            folder.mkdir(parents=True)
            kept = {}
            for bucket in ("1-20%", "20-40%", "40-60%"):
                own = pairs.table[pairs.table.bucket == bucket].head(KEPT)
                kept[bucket] = faces[own.image_row] // 2
            np.savez(folder / "samples.npz", **kept)
            (folder / "card.json").write_text(json.dumps({}))
    return {"results": results, "prepared": prepared}


def test_samples_come_with_their_own_image_mask_and_ratio(world):
    samples = load_samples("full", "celebahq", **world)
    assert samples.completed.shape == (3 * KEPT, SIZE, SIZE, 3)
    assert (samples.completed == samples.images // 2).all()
    assert samples.masks.reshape(len(samples.masks), -1).mean(axis=1) == pytest.approx(samples.pairs.ratio.to_numpy())


def test_an_experiment_that_was_not_run_has_no_samples(world):
    assert load_samples("slots_512", "celebahq", **world) is None


def test_samples_that_do_not_fit_are_refused(world, tmp_path):
    (tmp_path / "full" / "seed_0").mkdir(parents=True)
    np.savez(tmp_path / "full" / "seed_0" / "samples.npz", **{"1-20%": np.zeros((99, SIZE, SIZE, 3), np.uint8)})
    with pytest.raises(InputError, match="99 samples"):
        load_samples("full", "celebahq", results=tmp_path, prepared=world["prepared"])
    (tmp_path / "full" / "seed_0" / "samples.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be read"):
        load_samples("full", "celebahq", results=tmp_path, prepared=world["prepared"])


def table(ratios: list[float], faces: list[int] | None = None) -> pd.DataFrame:
    count = len(ratios)
    return pd.DataFrame(
        {
            "bucket": ["20-40%" if r <= 0.4 else "40-60%" for r in ratios],
            "image_row": faces or range(count),
            "mask_row": range(count),
            "ratio": ratios,
        }
    )


def test_pairs_are_chosen_evenly_over_the_ratio():
    pairs = table([0.6, 0.2, 0.3, 0.25, 0.5])
    assert list(pairs.ratio[choose_pairs(pairs, 3)]) == [0.2, 0.3, 0.6]
    assert list(pairs.ratio[choose_pairs(pairs, 9)]) == sorted(pairs.ratio)
    assert list(pairs.ratio[choose_pairs(pairs, 2, ["40-60%"])]) == [0.5, 0.6]
    assert choose_pairs(pairs, 2, ["1-20%"]) == []


def test_a_face_is_shown_once_while_there_are_others():
    pairs = table([0.2, 0.3, 0.5, 0.6], faces=[7, 7, 8, 7])
    assert sorted(pairs.image_row[choose_pairs(pairs, 2)]) == [7, 8]
    assert len(choose_pairs(pairs, 3)) == 3


def test_every_figure_whose_experiments_ran_is_drawn_the_same_each_time(world):
    def draw() -> dict[str, bytes]:
        made = showface_figures(**world, profile="demo", subtitle="profile: demo " * 20)
        assert all(item.caption and item.alt and item.title for item in made)
        return {item.name: style.figure_bytes(item.figure) for item in made}

    first = draw()
    assert list(first) == ["figure1", "figure5", "figure6", "figure7", "memory_sizes"]
    assert first == draw()


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text"))]


def test_figures_say_what_was_not_run_and_name_drawn_faces_as_such(world):
    made = {item.name: item.figure for item in showface_figures(**world, profile="demo")}
    assert words(made["memory_sizes"]).count("not run") == 4 * 4  # m = 32, 256, 512 and shared, in 4 rows
    assert "drawn faces (role of CelebA-HQ)" in words(made["figure5"])
    assert not [text for text in words(made["figure5"]) if text == "CelebA-HQ"]
    assert {"masked input", "mask", "completed", "ground truth"} < set(words(made["figure1"]))
    for name in ("figure5", "figure6", "figure7", "memory_sizes"):
        assert {"masked input", "mask", "ground truth"} < set(words(made[name]))
    assert [text for text in words(made["figure1"]) if text.endswith(" dB")]
    assert [text for text in words(made["figure1"]) if text.startswith("hole ")]


def test_nothing_run_makes_no_figures(world, tmp_path):
    assert showface_figures(results=tmp_path, prepared=world["prepared"], profile="demo") == []
    with pytest.raises(InputError, match="none of its experiments"):
        comparison_figure({"celebahq": {"Ours": None}}, title="Figure 5")


def test_methods_on_different_pairs_are_not_put_side_by_side(world):
    first = load_samples("full", "celebahq", **world)
    other = Samples("pconv", "celebahq", first.pairs.assign(mask_row=0), first.images, first.masks, first.completed)
    with pytest.raises(InputError, match="full and pconv"):
        comparison_figure({"celebahq": {"Ours": first, "PConv": other}}, title="t")
