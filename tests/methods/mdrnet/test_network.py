"""MDRNet: sizes, the path of known and hole cells, ablation switches, and what an inpainting may depend on."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_mdrnet import SETTINGS, SIDE, SIZE, SLOTS, encoder, first_stage, generator, inpainter, pictures

from replication.errors import InputError
from replication.evaluation.metrics import l1_percent, ssim, to_uint8
from replication.layers.pasting import composite
from replication.methods.mdrnet.inpainter import MDRNetInpainter
from replication.methods.mdrnet.network import CLASSES, GuidedRefinement, MDRNet, StyleEncoder, classes_of
from replication.methods.mdrnet.settings import MDRNetSettings, Size

SEEDS = (0, 1, 2, 3)
"""One an image; nothing here draws."""


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def classes(seed: int = 0):
    """Label maps of 14 classes in 4x4 blocks, not all present in every image."""
    labels = torch.randint(0, CLASSES, (4, 8, 8), generator=torch.Generator().manual_seed(seed))
    return labels.repeat_interleave(4, 1).repeat_interleave(4, 2)


# Sizes


def test_parameter_counts_of_the_full_size():
    with torch.device("meta"):
        network = MDRNet(MDRNetSettings())
        half, quarter = StyleEncoder(256), StyleEncoder(128)
        narrow_guide = GuidedRefinement(256)
    assert count(network.style) == 1_568_576 and count(half) == 978_496 and count(quarter) == 683_456
    assert count(network.refinement) == 20_082_499 and count(narrow_guide) == 17_723_203
    assert count(network.refinement.encoder) == 750_976 and count(network.refinement.blocks) == 9_441_280
    assert count(network.refinement.conv_out) == 1_731
    assert count(network.mining) == 328_320
    assert count(network) == 1_568_576 + 20_082_499 + 328_320  # the memory has none


def test_style_features_of_the_full_size():
    with torch.device("meta"):
        assert StyleEncoder()(torch.empty(1, 3, 256, 256)).shape == (1, 512, 128, 128)


def test_shapes():
    image, mask = pictures()
    out = generator()(image, classes(), mask)
    assert out.style.shape == out.fused.shape == out.guide.shape == (4, 8, 16, 16)
    assert out.query.shape == out.value.shape == out.read.shape == (4, 14, 8)
    assert out.read_weights.shape == (4, 14, 6) and out.correlation.shape == (4, 64, 64)
    assert out.hole.shape == (4, 1, 16, 16)
    assert out.raw.shape == (4, 3, 32, 32)


def test_style_features_and_output_are_bounded():
    image, mask = pictures()
    out = generator()(image * 3, classes(), mask)
    assert out.style.abs().max() <= 1 and out.raw.abs().max() <= 1


def test_the_memory_is_a_buffer_in_the_state_dict():
    network = generator()
    assert "memory.slots" in network.state_dict()
    assert not any(name.startswith("memory") for name, _ in network.named_parameters())
    with torch.device("meta"):
        full = MDRNet(MDRNetSettings())
    assert full.state_dict()["memory.slots"].shape == (14, 128, 512)


VARIANTS = [
    {"mcm": False},
    {"mcm": False, "dmm": False},
    {"memory": {"slots": 9}},
    {"memory": {"shared": True}},
    {"spade_norm": "batch"},
    {"mining": {"similarity": "cosine"}},
]
"""What the ablations and other options switch."""


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_variants_begin_equal_in_all_that_they_share(variant):
    """Else an ablation compares two random starts; spectral norm's vectors count too."""
    full, other = generator().state_dict(), generator(**variant).state_dict()
    shared = {name for name in full.keys() & other.keys() if full[name].shape == other[name].shape}
    assert {"style.conv_in.weight", "refinement.conv_out.weight"} < shared
    assert any(name.endswith("._u") for name in shared)
    assert [name for name in sorted(shared) if not torch.equal(full[name], other[name])] == []
    if "memory.slots" in other:
        slots = [state["memory.slots"].reshape(CLASSES, -1, SIZE.channels)[:, :6] for state in (full, other)]
        assert torch.equal(*slots)


def test_another_seed_gives_other_weights_in_every_layer():
    full = generator().state_dict()
    torch.manual_seed(3)
    other = MDRNet(SETTINGS).state_dict()
    drawn = [name for name in full if name.endswith(("weight", "original", "_u", "_v", "slots"))]
    assert len(drawn) > 30 and not any(torch.equal(full[name], other[name]) for name in drawn)


def test_no_two_layers_begin_with_the_same_numbers():
    weights = [
        w.flatten()[:20] for name, w in generator().state_dict().items() if name.endswith(("weight", "original"))
    ]
    firsts = {tuple((w / w.norm()).tolist()) for w in weights}
    assert len(firsts) == len(weights)


@pytest.mark.parametrize(("width", "deviation"), [(64, 0.02), (16, 0.04), (4, 0.08)])
def test_initial_deviation_grows_as_the_network_narrows(width, deviation):
    """0.02 at 64 channels, times the root of 64 over the width."""
    size = Size(channels=64, style_width=16, width=width, blocks=0, spade_hidden=16, patch=2)
    network = MDRNet(MDRNetSettings(size=size))
    assert deviation == pytest.approx(0.02 * math.sqrt(64 / width))
    for weight in (
        network.style.conv_out.weight,
        network.mining.value.weight,
        network.refinement.spade_1.spade_0.shared.weight,
        network.refinement.spade_1.conv_0.parametrizations.weight.original,
    ):
        assert weight.std().item() == pytest.approx(deviation, rel=0.1)
    biases = [p for name, p in network.named_parameters() if name.endswith("bias")]
    assert biases and not any(bias.any() for bias in biases)


# Known and hole cells


def test_known_cells_carry_their_regions_vector_and_hole_cells_the_read():
    image, mask = pictures()
    out = generator()(image, classes(), mask)
    cells = classes()[:, ::2, ::2]
    hole = out.hole[:, 0] > 0
    assert hole.any() and not hole.all()
    for b, y, x in [(b, y, x) for b in range(4) for y in (0, 5, 9) for x in (1, 8, 15)]:
        source = out.read if hole[b, y, x] else out.value
        assert torch.equal(out.fused[b, :, y, x], source[b, cells[b, y, x]])


def test_every_known_cells_class_is_visible_so_fusion_is_always_defined():
    image, mask = pictures()
    for seed in range(5):
        out = generator()(image, classes(seed), mask)
        known = out.hole == 0
        regions = torch.nn.functional.one_hot(classes(seed)[:, ::2, ::2], CLASSES).movedim(-1, 1)
        visible_here = (out.visible[:, :, None, None] * regions).sum(1, keepdim=True)
        assert visible_here[known].all()
        assert (out.visible <= out.present).all()
        assert torch.isfinite(out.fused).all() and torch.isfinite(out.raw).all()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_no_hole_and_nothing_but_hole(share):
    image, mask = pictures()
    out = generator()(image, classes(), torch.full_like(mask, share))
    assert torch.isfinite(out.raw).all()
    assert torch.equal(out.visible, out.present & (share == 0))
    if share == 0:
        torch.testing.assert_close(out.value, out.query)


def test_a_cell_is_known_only_if_all_its_pixels_are():
    image, mask = pictures()
    mask = torch.zeros_like(mask)
    mask[..., 5, 8] = 1
    hole = generator()(image, classes(), mask).hole
    assert hole.sum() == 4 and hole[..., 2, 4].all()


def test_outside_the_hole_mining_changes_nothing():
    image, mask = pictures()
    out = generator()(image, classes(), mask)
    known = (out.hole == 0).expand_as(out.guide)
    assert torch.equal(out.guide[known], out.fused[known])
    assert (out.guide != out.fused)[~known].any()


# Memory within the network


def test_only_update_memory_writes_and_evaluation_is_repeatable():
    image, mask = pictures()
    network = generator()
    network(image, classes(), mask, update_memory=True)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items() if name.startswith("memory")}
    network.eval()
    first, second = network(image, classes(), mask).raw, network(image, classes(), mask).raw
    assert torch.equal(first, second)
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in before.items())
    out = network(image, classes(), mask, update_memory=True)
    assert not torch.equal(before["memory.slots"], network.memory.slots)
    assert network.memory.hits.sum() - before["memory.hits"].sum() == out.visible.sum()
    logged = {key.removeprefix("memory_") for key in out.log}
    assert logged == {"agreement", "drift", "entropy", "perplexity", "read_norm", "slots_hit"}
    assert 0 < out.log["memory_entropy"] <= math.log(SLOTS) + 1e-6
    norms = [(x.norm(dim=-1) * out.visible).sum() for x in (out.read, out.value)]
    torch.testing.assert_close(out.log["memory_read_norm"], (norms[0] / norms[1]).detach())


@pytest.mark.parametrize("tensor", ["read", "value", "guide"])
def test_the_style_encoder_learns_through_reads_and_known_vectors(tensor):
    image, mask = pictures()
    network = generator()
    out = network(image, classes(), mask, update_memory=True)
    getattr(out, tensor).square().sum().backward()
    assert network.style.conv_in.weight.grad.any()
    assert network.memory.slots.grad is None and not network.memory.slots.requires_grad


def test_the_shared_memory_works_within_the_network():
    image, mask = pictures()
    network = generator(memory={"shared": True})
    out = network(image, classes(), mask, update_memory=True)
    assert out.read_weights.shape == (4, CLASSES, CLASSES * 6)
    assert network.memory.hits.shape == (1, CLASSES * 6) and network.memory.hits.sum() == out.visible.sum()


# Ablations

MEMORY_TENSORS = {"query", "value", "present", "visible", "read", "read_weights"}
ALWAYS = {"style", "hole", "fused", "guide", "raw"}


@pytest.mark.parametrize(
    ("dmm", "mcm", "expected"),
    [
        (True, True, ALWAYS | MEMORY_TENSORS | {"correlation"}),
        (True, False, ALWAYS | MEMORY_TENSORS),  # "w/o MREM" still injects the fused features
        (False, False, ALWAYS),  # "w/o MREM + w/o DMM"
    ],
)
def test_switches(dmm, mcm, expected):
    image, mask = pictures()
    network = generator(dmm=dmm, mcm=mcm).eval()  # spectral norm moves on in training mode
    out = network(image, classes(), mask)
    assert set(out.named()) == expected
    assert (network.memory is not None, network.mining is not None) == (dmm, mcm)
    if not mcm:
        assert torch.equal(out.guide, out.fused)
    if not dmm:
        assert torch.equal(out.guide, out.style)
        assert set(network(image, classes(), mask, update_memory=True).named()) == expected
        assert torch.equal(out.raw, network(image, classes(1), mask).raw)  # labels do not matter
    full = generator()
    assert count(full.refinement) == count(network.refinement)  # the ablations differ in nothing else


# Inpainter


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    return inpainter()


def test_known_pixels_come_back_bit_for_bit(trained):
    image, mask = pictures()
    out = trained.inpaint({"image": image, "mask": mask}, SEEDS)
    known = (mask == 0).expand_as(image)
    assert torch.equal(out[known], image[known])
    assert (out != image)[~known].float().mean() > 0.99


def test_without_a_hole_the_image_comes_back(trained):
    image, mask = pictures()
    out = trained.inpaint({"image": image, "mask": torch.zeros_like(mask)}, SEEDS)
    assert torch.equal(out, image)
    eight_bit = to_uint8(out), to_uint8(image)
    assert not l1_percent(*eight_bit).any()
    torch.testing.assert_close(ssim(*eight_bit), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"mcm": False}, {"dmm": False, "mcm": False}])
def test_what_lies_under_the_hole_cannot_be_seen(options):
    method = inpainter(**options)
    image, mask = pictures()
    poisoned = torch.where(mask > 0, torch.rand_like(image) * 2 - 1, image)
    batches = [{"image": face, "mask": mask} for face in (image, poisoned)]
    assert torch.equal(*(method.inpaint(batch, SEEDS) for batch in batches))
    honest, poisoned_features = (method.features(batch, [0] * len(batch["image"])).named() for batch in batches)
    assert all(torch.equal(tensor, poisoned_features[name][0]) for name, (tensor, _) in honest.items())


def test_inpainting_writes_nothing(trained):
    image, mask = pictures()
    trained.network.train()  # a careless caller
    trained.network.eval()
    before = {name: tensor.clone() for name, tensor in trained.network.state_dict().items()}
    assert torch.equal(*(trained.inpaint({"image": image, "mask": mask}, [seed] * 4) for seed in (1, 2)))
    after = trained.network.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_an_images_completion_does_not_depend_on_its_neighbours(trained):
    image, mask = pictures()
    together = trained.inpaint({"image": image, "mask": mask}, SEEDS)
    alone = torch.cat([trained.inpaint({"image": image[i : i + 1], "mask": mask[i : i + 1]}, [i]) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)


def test_features_name_every_step_of_the_pass(trained):
    image, mask = pictures()
    features = trained.features({"image": image, "mask": mask}, [0] * len(image))
    own = {"masked_input", "mask", "coarse", "parsing", "classes", "gamma", "beta", "completed"}
    assert set(features.named()) == ALWAYS | MEMORY_TENSORS | {"correlation"} | own
    assert torch.equal(features.completed, trained.inpaint({"image": image, "mask": mask}, SEEDS))
    assert torch.equal(features.classes, classes_of(features.parsing))
    assert features.gamma.shape == features.beta.shape == (4, 2 * SIZE.width, SIDE, SIDE)
    assert not features.masked_input[(mask > 0).expand_as(image)].any()


def test_the_encoder_of_the_loss_is_opened_once_and_only_when_it_is_asked_for():
    opened = []

    def open_encoder():
        opened.append(encoder())
        return opened[-1]

    method = MDRNetInpainter(generator(), first_stage(), open_encoder)
    image, mask = pictures()
    method.inpaint({"image": image, "mask": mask}, SEEDS)
    assert opened == []
    assert method.encoder is method.encoder is opened[0] and len(opened) == 1
    with pytest.raises(InputError, match="reconstruction encoder is needed but was not given"):
        _ = MDRNetInpainter(generator(), first_stage()).encoder


# First stage


def test_the_coarse_face_has_the_real_pixels_where_they_are_known():
    image, mask = pictures()
    stage = first_stage()
    coarse, labels = stage(image, mask)
    raw = stage.coarse_network.coarse(image, mask)
    assert torch.equal(coarse, composite(raw, image, mask)) and not torch.equal(coarse, raw)
    assert labels.shape == (4, SIDE, SIDE) and labels.dtype == torch.uint8
    assert torch.equal(labels.long(), stage.parser.labels(coarse))
    stage.paste = False
    assert torch.equal(stage(image, mask)[0], raw)


def test_labels_map_to_fourteen_classes():
    labels = torch.arange(19, dtype=torch.uint8).view(1, 19, 1)
    expected = [0, 1, 2, 3, 4, 5, 0, 11, 12, 0, 6, 8, 7, 9, 13, 0, 0, 10, 0]
    assert classes_of(labels).flatten().tolist() == expected
    assert set(expected) == set(range(CLASSES))
