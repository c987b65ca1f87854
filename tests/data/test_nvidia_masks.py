"""With generated files in the form of NVIDIA's: 512 px in the original, smaller here."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from replication.data.irregular_masks import draw_mask
from replication.data.masks import BUCKETS, border_margin, bucket_of, mask_hash, reach_border
from replication.data.nvidia_masks import (
    augment_occlusion,
    augmented_masks,
    check_polarity,
    mask_files,
    read_mask,
    read_mask_store,
)
from replication.data.random_streams import stream
from replication.errors import InputError

FILE_SIZE = 64


def save(mask: np.ndarray, path, hole: str) -> None:
    white = mask.astype(bool) if hole == "white" else ~mask.astype(bool)
    Image.fromarray(white.astype(np.uint8) * 255).save(path)


@pytest.fixture
def test_folder(tmp_path):
    """36 test masks, white = hole: six of each bucket and border kind."""
    path = tmp_path / "test"
    path.mkdir()
    for k in range(36):
        save(draw_mask(size=FILE_SIZE, seed=1, index=k), path / f"{k:05d}.png", "white")
    return path


@pytest.fixture
def raw_folder(tmp_path):
    """12 raw occlusion maps, black = hole: thin lines, grey at their edges."""
    path = tmp_path / "raw"
    path.mkdir()
    for k in range(12):
        grey = np.full((FILE_SIZE, FILE_SIZE), 255, np.uint8)
        grey[10 + 3 * k, 5:60] = 0
        grey[11 + 3 * k, 5:60] = 153  # 0.6 of 255: not above the threshold, so hole
        Image.fromarray(grey).save(path / f"{k}.png")
    return path


def test_white_is_hole_and_the_ratio_is_that_of_white(test_folder):
    """Spec trap 1, with a mask of known ratio."""
    mask = np.zeros((FILE_SIZE, FILE_SIZE), np.uint8)
    mask[:16] = 1
    save(mask, test_folder / "known.png", "white")
    read = read_mask(test_folder / "known.png", size=32, hole_is="white")
    assert read.mean() == 0.25 and read[0, 0] == 1 and read[-1, -1] == 0
    assert read_mask(test_folder / "known.png", size=32, hole_is="black").mean() == 0.75
    with pytest.raises(InputError, match="hole_is='hole'"):
        read_mask(test_folder / "known.png", size=32, hole_is="hole")


def test_resizing_is_by_nearest_neighbour(test_folder):
    """Spec trap 2: no grey, no in-between."""
    board = np.indices((FILE_SIZE, FILE_SIZE)).sum(0) % 2
    save(board, test_folder / "board.png", "white")
    read = read_mask(test_folder / "board.png", size=32, hole_is="white")
    assert np.array_equal(read, board[1::2, 1::2])


@pytest.mark.parametrize("hole", ["white", "black"])
def test_wrong_polarity_is_noticed_either_way(tmp_path, hole):
    for k in range(12):
        save(draw_mask(size=32, seed=0, index=k), tmp_path / f"{k}.png", hole)
    files = mask_files(tmp_path)
    assert check_polarity(files, hole_is=hole)["border_free"] == 0.5
    wrong = {"white": "black", "black": "white"}[hole]
    with pytest.raises(InputError, match=f"hole_is='{wrong}' does not fit .* use hole_is='{hole}'"):
        check_polarity(files, hole_is=wrong)


def test_border_gives_the_polarity_away_where_ratios_do_not(tmp_path):
    """Between 40 and 60% either polarity has a plausible ratio."""
    for k in range(12):
        mask = draw_mask(size=32, seed=0, index=k, bucket="40-60%", touches_border=bool(k % 2))
        save(mask, tmp_path / f"{k}.png", "white")
    check_polarity(mask_files(tmp_path), hole_is="white")
    with pytest.raises(InputError, match="6 a border of nothing but hole"):
        check_polarity(mask_files(tmp_path), hole_is="black")


def test_wrong_polarity_of_raw_maps(raw_folder):
    check_polarity(mask_files(raw_folder), hole_is="black", threshold=0.6)
    with pytest.raises(InputError, match="use hole_is='black'"):
        check_polarity(mask_files(raw_folder), hole_is="white", threshold=0.6)


def test_store_without_training_maps(test_folder, tmp_path):
    store = read_mask_store(tmp_path / "m", size=32, test_folder=test_folder, test_per_bucket=4, seed=0)
    assert len(store.test) == 12 and len(store.train) == 24
    for bucket in BUCKETS:
        assert store.card["buckets"]["test"][bucket] == {"reaching_border": 2, "border_free": 2}
    for _, row in store.index.iterrows():  # measured after resizing
        mask = getattr(store, row["split"])[row["row"]]
        assert row["ratio"] == mask.mean() and row["bucket"] == bucket_of(mask.mean())
        assert row["touches_border"] == reach_border(mask[None])[0]
    assert not {mask_hash(m) for m in store.train} & {mask_hash(m) for m in store.test}
    assert "no training maps given" in store.card["source"]["training"]
    again = read_mask_store(tmp_path / "n", size=32, test_folder=test_folder, test_per_bucket=4, seed=0, workers=2)
    assert again.card == store.card
    fewer = read_mask_store(tmp_path / "o", size=32, test_folder=test_folder, test_per_bucket=4, seed=0, train=7)
    assert len(fewer.train) == 7
    with pytest.raises(InputError, match="test_per_bucket=12 leaves none of the 36 usable masks"):
        read_mask_store(tmp_path / "p", size=32, test_folder=test_folder, test_per_bucket=12, seed=0)


def test_repeated_masks_cannot_be_in_both_splits(test_folder, tmp_path):
    for k in range(36):
        (test_folder / f"again{k:05d}.png").write_bytes((test_folder / f"{k:05d}.png").read_bytes())
    store = read_mask_store(tmp_path / "m", size=32, test_folder=test_folder, test_per_bucket=4, seed=0)
    assert len(store.train) + len(store.test) == 36
    assert store.card["source"]["test_left_out_as_repeated"] == 36


def test_masks_outside_all_buckets_are_left_out_and_counted(test_folder, tmp_path):
    save(np.zeros((FILE_SIZE, FILE_SIZE)), test_folder / "none.png", "white")
    nearly = np.ones((FILE_SIZE, FILE_SIZE))
    nearly[:20] = 0
    save(nearly, test_folder / "much.png", "white")
    store = read_mask_store(tmp_path / "m", size=32, test_folder=test_folder, test_per_bucket=4, seed=0)
    assert len(store.index) == 36 and store.card["source"]["test_left_out_by_ratio"] == 2


def thin(folder, count: int) -> None:
    for k in range(count):
        mask = np.zeros((FILE_SIZE, FILE_SIZE))
        mask[k // FILE_SIZE, k % FILE_SIZE] = 1
        save(mask, folder / f"thin{k:04d}.png", "white")


def test_many_thin_masks_are_counted_wherever_something_is_missing(test_folder, tmp_path, caplog):
    """More than a batch of them: a batch of which nothing is left is no error of its own."""
    thin(test_folder, 200)
    with caplog.at_level("INFO"):
        store = read_mask_store(tmp_path / "m", size=FILE_SIZE, test_folder=test_folder, test_per_bucket=4, seed=0)
    assert len(store.index) == 36 and store.card["source"]["test_left_out_by_ratio"] == 200
    assert "236 masks read, 200 left out (200 with a hole outside 1 to 60 %)" in caplog.text
    with pytest.raises(InputError) as caught:
        read_mask_store(tmp_path / "n", size=FILE_SIZE, test_folder=test_folder, test_per_bucket=12, seed=0)
    assert str(caught.value) == (
        f"test_per_bucket=12 leaves none of the 36 usable masks in {test_folder} for training (236 masks read, 200 "
        "left out (200 with a hole outside 1 to 60 %)); choose fewer or give train_folder"
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_only_thin_masks(tmp_path, raw_folder, workers):
    folder = tmp_path / "thin"
    folder.mkdir()
    thin(folder, 200)
    for more in ({"test_per_bucket": 4}, {"train_folder": raw_folder}):
        with pytest.raises(InputError) as caught:
            read_mask_store(tmp_path / "m", size=FILE_SIZE, test_folder=folder, seed=0, workers=workers, **more)
        assert str(caught.value) == (
            f"mask folder {folder}: none of 200 masks has a hole of 1 to 60 % of its pixels; the smallest covers "
            "0.02%, the largest 0.02%"
        )
    assert not (tmp_path / "m").exists()


def test_masks_of_one_bucket_do_where_no_irregular_holes_are_measured(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    for k in range(10):
        save(draw_mask(size=FILE_SIZE, seed=1, index=k, bucket="20-40%"), folder / f"{k}.png", "white")
    options = {"size": FILE_SIZE, "test_folder": folder, "test_per_bucket": 4, "seed": 0}
    with pytest.raises(InputError, match=rf"^mask folder {folder}: .* \(0 of 1-20%, 10 of 20-40%, 0 of 40-60%; 10 m"):
        read_mask_store(tmp_path / "m", **options)
    store = read_mask_store(tmp_path / "m", every_bucket=False, **options)
    assert (len(store.test), len(store.train)) == (4, 6)


def test_dilation_follows_the_page(tmp_path):
    """A single hole pixel of a 512 px map becomes a square of 9 to 49 px."""
    hole = np.zeros((512, 512), bool)
    hole[256, 256] = True
    areas = []
    for k in range(30):
        mask = augment_occlusion(hole, stream(0, "test", k), 512)
        areas.append(mask.sum())
    # a crop of 60 to 100% enlarges areas by up to 1/0.36; a mask may lose its hole to the crop
    assert max(areas) <= 1.1 * 49**2 / 0.36 and sorted(areas)[5] >= 0.9 * 9**2


def test_store_with_training_maps(test_folder, raw_folder, tmp_path):
    store = read_mask_store(tmp_path / "m", size=32, test_folder=test_folder, train_folder=raw_folder, train=20, seed=0)
    assert len(store.test) == 36 and len(store.train) == 20 - store.card["source"]["train_left_out_as_repeated"]
    assert store.index["ratio"].between(0.01, 0.6).all()
    assert store.card["source"]["train_polarity"]["stated"] == "hole is black"


def test_augmented_masks_depend_on_seed_and_number(raw_folder):
    files = mask_files(raw_folder)
    ten, six = (np.concatenate(list(augmented_masks(files, n, size=16, seed=2, hole_is="black"))) for n in (10, 6))
    assert np.array_equal(ten[:6], six)
    other = np.concatenate(list(augmented_masks(files, 6, size=16, seed=3, hole_is="black")))
    assert not np.array_equal(other, six)


def test_files_that_are_no_masks(test_folder, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        mask_files(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no PNG"):
        mask_files(tmp_path / "empty")
    bad = test_folder / "bad.png"
    save(np.ones((FILE_SIZE, FILE_SIZE)), bad, "white")
    with pytest.raises(InputError, match=r"bad\.png is all hole"):
        read_mask(bad, size=32, hole_is="white")
    Image.fromarray(np.full((FILE_SIZE, FILE_SIZE), 90, np.uint8)).save(bad)
    with pytest.raises(InputError, match=r"bad\.png holds grey values"):
        read_mask(bad, size=32, hole_is="white")
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(bad)
    with pytest.raises(InputError, match="16 pixels wide, smaller"):
        read_mask(bad, size=32, hole_is="white")
    Image.fromarray(np.zeros((32, 48), np.uint8)).save(bad)
    with pytest.raises(InputError, match="48x32; masks are square"):
        read_mask(bad, size=32, hole_is="white")
    bad.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"bad\.png cannot be read"):
        read_mask(bad, size=32, hole_is="white")


def test_margin_after_resizing_agrees_with_50_px_of_512():
    mask = np.ones((512, 512), np.uint8)
    mask[:50] = mask[-50:] = mask[:, :50] = mask[:, -50:] = 0
    for size in (32, 64, 100, 128, 200, 256):
        small = np.asarray(Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST))
        assert not reach_border(small[None])[0]
        m = border_margin(size)
        assert small[m, size // 2] == 1
