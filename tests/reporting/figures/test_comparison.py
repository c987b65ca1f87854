from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from replication import paths
from replication.data.masks import write_mask_store
from replication.data.pairs import write_pairs
from replication.data.store import Chunk, write_store
from replication.drawing import style
from replication.errors import InputError
from replication.papers import load_figures
from replication.reporting.figures.comparison import (
    Captioned,
    Samples,
    choose_pairs,
    comparison_figure,
    load_samples,
    picture_figure,
)
from replication.reporting.placement import Column, columns_of

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
    """Stores of six test faces each, pairs, and samples of some runs."""
    root = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    test = list(masks(rng, 6))
    place = root / paths.masks("celebahq")
    mask_store = write_mask_store(place, size=SIZE, train=masks(rng, 2), test=test, source={})
    shutil.copytree(place, root / paths.masks("ffhq"))
    for dataset in ("celebahq", "ffhq"):
        rows = pd.DataFrame({"id": [f"{dataset}{i}" for i in range(7)], "split": ["train"] + ["test"] * 6})
        faces = rng.integers(0, 256, (7, SIZE, SIZE, 3)).astype(np.uint8)
        chunks = [Chunk(faces, rows)]
        store = write_store(root / paths.store(dataset), name=dataset, size=SIZE, chunks=chunks, source={})
        pairs = write_pairs(root / paths.pairs("irregular", dataset), store, mask_store, seed=0)
        names = {"celebahq": ("full", "pconv", "no_mrem", "slots_64"), "ffhq": ("full_ffhq",)}[dataset]
        for name in names:
            folder = root / paths.results(name)
            folder.mkdir(parents=True)
            kept = {}
            for bucket in ("1-20%", "20-40%", "40-60%"):
                own = pairs.table[pairs.table.bucket == bucket].head(KEPT)
                kept[bucket] = faces[own.image_row] // 2
            np.savez(folder / "samples.npz", **kept)
            (folder / "card.json").write_text(json.dumps({}))
    return root


def samples_of(world, run: str, dataset: str = "celebahq") -> Samples | None:
    return load_samples(run, dataset, "irregular", root=world)


def draw(world, name: str, *, columns=None, **more) -> Captioned | None:
    """A figure of ShowFace from what the world has."""
    (planned,) = (figure for figure in load_figures("showface") if figure.name == name)
    names = {"CelebA-HQ": "drawn faces\n(role of CelebA-HQ)", "FFHQ": "drawn faces\n(role of FFHQ)"}

    def samples(run: str) -> Samples | None:
        return samples_of(world, run, "ffhq" if run.endswith("ffhq") else "celebahq")

    return picture_figure(planned, columns or columns_of("showface", name), samples, names=names, **more)


PICTURES = [figure.name for figure in load_figures("showface") if figure.kind != "panel"]


def test_samples_come_with_their_own_image_mask_and_ratio(world):
    samples = samples_of(world, "full")
    assert samples.completed.shape == (3 * KEPT, SIZE, SIZE, 3)
    assert (samples.completed == samples.images // 2).all()
    assert samples.masks.reshape(len(samples.masks), -1).mean(axis=1) == pytest.approx(samples.pairs.ratio.to_numpy())


def test_a_run_that_was_not_measured_has_no_samples(world):
    assert samples_of(world, "slots_512") is None


def test_holes_of_a_protocol_without_irregular_masks_lie_beside_its_pairs(world, tmp_path):
    root = shutil.copytree(world, tmp_path / "root")
    folder = root / paths.PAIRS
    (folder / "irregular").rename(folder / "boxes")
    own = np.zeros((200, SIZE, SIZE), np.uint8)
    own[:, :4] = 1
    np.save(folder / "boxes" / "celebahq_holes.npy", own)
    samples = load_samples("full", "celebahq", "boxes", root=root)
    assert (samples.masks == own[: 3 * KEPT]).all()


def test_samples_that_do_not_fit_are_refused(world, tmp_path):
    root = shutil.copytree(world, tmp_path / "root")
    file = root / paths.results("full") / "samples.npz"
    np.savez(file, **{"1-20%": np.zeros((99, SIZE, SIZE, 3), np.uint8)})
    with pytest.raises(InputError, match="99 samples"):
        samples_of(root, "full")
    file.write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be read"):
        samples_of(root, "full")


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


@pytest.mark.parametrize("name", PICTURES)
def test_every_figure_whose_runs_were_measured_is_drawn_the_same_each_time(world, name):
    first, again = (draw(world, name, subtitle="profile: demo " * 20) for _ in range(2))
    assert first.name == name and first.caption and first.alt and first.title
    assert style.figure_bytes(first.figure) == style.figure_bytes(again.figure)


def test_the_figures_are_those_of_the_paper_in_its_order():
    assert PICTURES == ["figure1", "figure5", "figure6", "figure7", "memory_sizes"]
    assert [one.name for one in load_figures("showface") if one.kind == "panel"] == ["figure2", "figure3", "figure4"]


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text"))]


def test_figures_say_what_was_not_run_and_name_drawn_faces_as_such(world):
    made = {name: draw(world, name).figure for name in PICTURES}
    assert words(made["memory_sizes"]).count("not run") == 4 * 4  # m = 32, 256, 512 and shared, in 4 rows
    assert "drawn faces (role of CelebA-HQ)" in words(made["figure5"])
    assert not [text for text in words(made["figure5"]) if text == "CelebA-HQ"]
    assert {"masked input", "mask", "completed", "ground truth"} < set(words(made["figure1"]))
    for name in ("figure5", "figure6", "figure7", "memory_sizes"):
        assert {"masked input", "mask", "ground truth"} < set(words(made[name]))
    assert [text for text in words(made["figure1"]) if text.endswith(" dB")]
    assert [text for text in words(made["figure1"]) if text.startswith("hole ")]


def test_a_run_of_a_new_system_gets_its_column(world):
    columns = [*columns_of("showface", "figure5"), Column("CelebA-HQ", "Copy-paste", "no_mrem", "")]
    assert words(draw(world, "figure5", columns=columns).figure).count("Copy-paste") == 1


def test_nothing_run_makes_no_figures(tmp_path):
    assert draw(tmp_path, "figure5") is None
    with pytest.raises(InputError, match="none of its runs has samples"):
        comparison_figure({"CelebA-HQ": {"Ours": None}}, title="Figure 5", names={})


def test_two_runs_on_one_data_set_have_no_room_in_a_samples_figure(world):
    columns = [Column("FFHQ", "", "full_ffhq", ""), Column("FFHQ", "", "pconv_ffhq", "")]
    with pytest.raises(InputError, match=r"Figure 1\. Completions of large holes: has room for one run on FFHQ"):
        draw(world, "figure1", columns=columns)


def test_methods_on_different_pairs_are_not_put_side_by_side(world):
    first = samples_of(world, "full")
    other = Samples("pconv", "celebahq", first.pairs.assign(mask_row=0), first.images, first.masks, first.completed)
    with pytest.raises(InputError, match="runs full and pconv were not sampled on the same pairs"):
        comparison_figure({"CelebA-HQ": {"Ours": first, "PConv": other}}, title="t", names={})
