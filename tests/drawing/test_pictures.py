from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from replication.drawing import style
from replication.drawing.pictures import (
    Tile,
    enlargement,
    feature_energy,
    feature_rgb,
    masked_input,
    picture_grid,
    psnr,
)
from replication.errors import InputError

RNG = np.random.default_rng(0)


def test_masked_input_changes_holes_only():
    image = RNG.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    mask = np.zeros((8, 8), np.uint8)
    mask[2:4, 3:6] = 1
    shown = masked_input(image, mask)
    assert (shown[mask == 0] == image[mask == 0]).all()
    assert (shown[mask == 1] == shown[2, 3]).all()
    with pytest.raises(InputError, match="do not belong together"):
        masked_input(image, mask[:4])


def test_psnr_is_the_textbook_value():
    image = np.full((4, 4, 3), 100, np.uint8)
    assert psnr(image, image) == 100
    assert psnr(image, image + 10) == pytest.approx(20 * np.log10(255 / 10))
    assert psnr(np.zeros_like(image), np.full_like(image, 255)) == pytest.approx(0)


def test_principal_colours_follow_the_features():
    classes = np.repeat(np.arange(4), 16).reshape(8, 8)
    features = RNG.normal(size=(4, 10))[classes].transpose(2, 0, 1)
    (picture,) = feature_rgb(features)
    assert (picture.dtype, picture.shape) == (np.uint8, (8, 8, 3))
    colours = [np.unique(picture[classes == c], axis=0) for c in range(4)]
    assert all(len(own) == 1 for own in colours)
    assert len(np.unique(np.concatenate(colours), axis=0)) == 4
    # The basis, signs included, depends on the features alone.
    assert (feature_rgb(features)[0] == picture).all()


def test_maps_drawn_together_share_colours_and_may_differ_in_size():
    features = RNG.normal(size=(6, 4, 4))
    large, small = feature_rgb(features, features[:, :2, :2])
    assert (large[:2, :2] == small).all()
    with pytest.raises(InputError, match="one C"):
        feature_rgb(features, features[:5])


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_few_channels_and_constant_maps_are_drawn(channels):
    assert (feature_rgb(np.ones((channels, 3, 3)))[0] == 128).all()
    assert feature_rgb(RNG.normal(size=(channels, 3, 3)))[0].shape == (3, 3, 3)


def test_energy_is_the_root_mean_square():
    assert feature_energy(np.array([3.0, -4.0]).reshape(2, 1, 1)).item() == pytest.approx(np.sqrt(12.5))


@pytest.mark.parametrize(("size", "factor"), [(32, 5), (64, 3), (128, 2), (160, 1), (256, 1)])
def test_small_pictures_are_enlarged_by_whole_factors(size, factor):
    assert enlargement(size) == factor


def test_a_grid_shows_each_pixel_as_a_square_of_equal_pixels():
    image = RNG.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    figure = picture_grid([[Tile(image, "a")]], columns=["x"], row_labels=["row"], title="t", footnote="f")
    drawn = np.asarray(Image.open(io.BytesIO(style.figure_bytes(figure))).convert("RGB"))
    enlarged = image.repeat(5, axis=0).repeat(5, axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(drawn[..., 0], (160, 160))
    corners = np.argwhere(windows[:, :, 0, 0] == enlarged[0, 0, 0])
    places = [tuple(c) for c in corners if (windows[tuple(c)] == enlarged[..., 0]).all()]
    assert len(places) == 1
    top, left = places[0]
    assert (drawn[top : top + 160, left : left + 160] == enlarged).all()
