from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_fid import inception as reference_inception
from pytorch_fid.fid_score import calculate_frechet_distance

from replication.errors import InputError
from replication.evaluation import frechet
from replication.evaluation.frechet import FeatureExtractor, InceptionFeatures, frechet_distance, metric_key


def _features(n: int, d: int, seed: int) -> np.ndarray:
    """Non-negative and correlated with a falling spectrum, like pooled activations."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).normal(size=(d, d)) * np.linspace(1, 0.05, d)[:, None]
    return np.abs(rng.normal(0.1 * seed, 1, (n, d)) @ mixing).astype(np.float32)


def _reference(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    moments = [(x.mean(0), np.atleast_2d(np.cov(x, rowvar=False))) for x in (a, b)]
    return float(calculate_frechet_distance(*moments[0], *moments[1]))


@pytest.mark.parametrize(
    ("n_a", "n_b", "d"),
    [
        (400, 300, 64),
        (64, 64, 64),
        (40, 40, 64),
        (40, 30, 96),
        (200, 30, 64),
        (30, 200, 64),
        (2, 2, 8),
    ],
)
@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")  # pytorch-fid on SciPy 1.17
def test_agrees_with_pytorch_fid_also_for_singular_covariances(n_a, n_b, d):
    a, b = _features(n_a, d, 1), _features(n_b, d, 2)
    assert frechet_distance(a, b) == pytest.approx(_reference(a, b), rel=1e-6)


def test_known_gaussians():
    # Four points with mean 0 and covariance diag(4/3 s^2), shifted and scaled: every term is known by hand.
    square = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    assert frechet_distance(square, square + np.array([3, 4])) == pytest.approx(25, rel=1e-12)
    # (2 - 1)^2 * 4/3 for each of two axes
    assert frechet_distance(square, 2 * square) == pytest.approx(8 / 3, rel=1e-12)
    assert frechet_distance(square * np.array([1, 0]), square * np.array([0, 1])) == pytest.approx(8 / 3, rel=1e-12)


def test_distance_of_a_set_to_itself_is_zero_and_symmetric():
    for n in (20, 200):
        a, b = _features(n, 48, 1), _features(n + 5, 48, 2)
        scale = np.trace(np.cov(a, rowvar=False))
        assert frechet_distance(a, a) < 1e-12 * scale
        assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)
        assert frechet_distance(a, a[::-1].copy()) < 1e-12 * scale


def test_accepts_tensors_and_is_accurate_far_from_the_origin():
    a, b = _features(60, 20, 1).astype(np.float64), _features(50, 20, 2).astype(np.float64)
    assert frechet_distance(torch.from_numpy(a), torch.from_numpy(b)) == frechet_distance(a, b)
    assert frechet_distance(a + 1e4, b + 1e4) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_refuses_what_has_no_distance():
    a = _features(10, 4, 1)
    with pytest.raises(InputError, match="second features hold NaN"):
        frechet_distance(a, np.where(a == a[3, 2], np.nan, a))
    with pytest.raises(InputError, match="infinity"):
        frechet_distance(a * np.inf, a)
    with pytest.raises(InputError, match="at least 2 rows"):
        frechet_distance(a[:1], a)
    with pytest.raises(InputError, match="at least 2 rows"):
        frechet_distance(a, a[0])
    with pytest.raises(InputError, match="widths 4 and 3"):
        frechet_distance(a, a[:, :3])


class _Pretender:
    def __init__(self, name: str) -> None:
        self.name = name

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().mean((2, 3))


def test_only_verified_inception_is_called_fid():
    assert metric_key(_Pretender("FD (attribute network)")) == "FD"
    assert isinstance(_Pretender("FD (x)"), FeatureExtractor)
    for name in ("FID", "FD", "FD ()", "my FID"):
        with pytest.raises(InputError, match="verified"):
            metric_key(_Pretender(name))


def test_inception_features_equal_those_of_pytorch_fid(random_inception, monkeypatch):
    state = torch.load(random_inception, weights_only=True)
    monkeypatch.setattr(reference_inception, "load_state_dict_from_url", lambda *_, **__: state)
    reference = reference_inception.InceptionV3().eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    extractor = InceptionFeatures(random_inception).to("cpu")
    with torch.no_grad():
        expected = reference(images.float() / 255)[0].flatten(1)  # ToTensor divides by 255
    features = extractor.features(images)
    assert features.shape == (2, 2048)
    assert features.dtype == torch.float32
    assert features.std() > 0
    assert torch.equal(features, expected)


@pytest.mark.parametrize("dims", [64, 192, 768])
def test_narrower_inception_features_equal_those_of_pytorch_fid(random_inception, monkeypatch, dims):
    state = torch.load(random_inception, weights_only=True)
    monkeypatch.setattr(reference_inception, "load_state_dict_from_url", lambda *_, **__: state)
    block = reference_inception.InceptionV3.BLOCK_INDEX_BY_DIM[dims]
    reference = reference_inception.InceptionV3([block]).eval()
    images = torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8)
    with torch.no_grad():
        expected = reference(images.float() / 255)[0].mean((2, 3))
    extractor = InceptionFeatures(random_inception, dims=dims)
    assert extractor.features(images).numpy() == pytest.approx(expected.numpy(), rel=1e-5)
    assert extractor.name == f"FD (random.pth, {dims} wide)"
    monkeypatch.setattr(frechet, "INCEPTION_SHA256_PREFIX", extractor.sha256[:8])
    assert metric_key(InceptionFeatures(random_inception, dims=dims)) == "FD"


def test_inception_label_follows_the_hash(random_inception, monkeypatch):
    extractor = InceptionFeatures(random_inception)
    assert not extractor.verified
    assert extractor.name == "FD (random.pth)"
    assert metric_key(extractor) == "FD"
    # A renamed file stays an FD: the content decides.
    renamed = random_inception.with_name(frechet.INCEPTION_FILE)
    renamed.write_bytes(random_inception.read_bytes())
    assert InceptionFeatures(renamed).name == f"FD ({frechet.INCEPTION_FILE})"
    monkeypatch.setattr(frechet, "INCEPTION_SHA256_PREFIX", extractor.sha256[:8])
    verified = InceptionFeatures(random_inception)
    assert verified.name == "FID"
    assert metric_key(verified) == "FID"


def test_inception_refuses_wrong_files(tmp_path):
    with pytest.raises(InputError, match="no width 100"):
        InceptionFeatures(tmp_path / "absent.pth", dims=100)
    with pytest.raises(InputError, match="no such file"):
        InceptionFeatures(tmp_path / "absent.pth")
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(2)}, other)
    with pytest.raises(InputError, match=r"lacks the tensor 'Conv2d_1a_3x3\.conv\.weight'"):
        InceptionFeatures(other)
    for content in (b"cut", b""):
        other.write_bytes(content)
        with pytest.raises(InputError, match="cannot be read as the weights pt_inception"):
            InceptionFeatures(other)


def test_the_file_is_expected_to_hold_pytorch_fids_tensors_and_no_others(monkeypatch, random_inception):
    state = torch.load(random_inception, weights_only=True)
    monkeypatch.setattr(reference_inception, "load_state_dict_from_url", lambda *_, **__: state)
    theirs = reference_inception.fid_inception_v3().state_dict()
    ours = frechet._inception().state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}
