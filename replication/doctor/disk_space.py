"""How much disk a run of a profile will take, from image counts, sizes and the networks' numbers of parameters."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

from replication import paths
from replication.config import Parameters, load_parameters
from replication.doctor.run_time import BUCKETS, Images, experiments_and_baselines, pairs_of
from replication.errors import InputError
from replication.graph.stages import load_stages, parameter, read_yaml
from replication.history.records import record_path

KEPT_CHECKPOINTS = 2
REPORTS = 60_000_000
"""Bytes of executed notebooks, their pages, figures and the site; 25 MB were measured half-way through `demo`."""
REPLACED = (paths.PREPARED, paths.BANKS, paths.MODELS, paths.RESULTS, paths.STATE)
"""What a run writes anew in the place of an earlier one's. DVC's cache is not among them: it only grows."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Numbers of parameters (with buffers) of the networks that a profile trains; features: width of the FD's."""

    mdrnet: int
    discriminator: int
    coarse: int
    parser: int
    reconstruction: int
    attributes: int
    features: int


def sizes_of(parameters: Parameters) -> Sizes:
    """Count without allocating; needs torch."""
    import torch

    from replication.data.drawn_faces import ATTRIBUTES
    from replication.layers.patch_gan import PatchGAN
    from replication.methods.attributes.network import AttributeNetwork
    from replication.methods.mdrnet.network import MDRNet, MDRNetSize
    from replication.methods.parser.bisenet import BiSeNet
    from replication.methods.pconv.network import PConvUNet
    from replication.methods.reconstruction.network import ReconstructionNetwork

    p, m = parameters, parameters.mdrnet
    with torch.device("meta"):
        attributes = AttributeNetwork(len(ATTRIBUTES), p.attributes.width)
        networks = {
            "mdrnet": MDRNet(MDRNetSize(**dataclasses.asdict(m.size)), memory=dataclasses.asdict(m.memory)),
            "discriminator": PatchGAN(width=m.discriminator_width, norm=m.discriminator_norm),
            "coarse": PConvUNet(p.coarse.width, p.coarse.levels),
            "parser": BiSeNet(width=p.parser.width, output_stride=int(p.parser.output_stride)),
            "reconstruction": ReconstructionNetwork(p.reconstruction.width),
            "attributes": attributes,
        }
    counts = {name: sum(t.numel() for t in network.state_dict().values()) for name, network in networks.items()}
    inception = p.evaluation.extractor == "inception"
    if inception:
        counts["attributes"] = 0
    return Sizes(**counts, features=2048 if inception else attributes.dimensions)


def bytes_needed(parameters: Parameters, images: dict[str, Images], sizes: Sizes) -> dict[str, int]:
    """Bytes by kind of file of a whole run; `DVC's cache` is its copy of all that is in data/."""
    p, pixels = parameters, parameters.image_size**2
    prepared = (p.masks.train + BUCKETS * p.masks.test_per_bucket) * pixels
    for role, count in images.items():
        data = getattr(p.data, role)
        channels = 3 + (data.source == "drawn" or data.parsing_folder is not None)
        prepared += (count.train + count.test) * pixels * channels
    trainings = {name: p.seeds_of(name) for name in p.experiments}
    coarse = p.coarse_seeds("celebahq") + p.coarse_seeds("ffhq")
    mdrnets = sum(trainings.values())
    others = sizes.parser + sizes.reconstruction + sizes.attributes
    banks = 2 * p.mdrnet.bank_pairs * pixels * 4
    models = 4 * (mdrnets * sizes.mdrnet + coarse * sizes.coarse + others)
    # Adam keeps two numbers for each parameter.
    state = KEPT_CHECKPOINTS * 3 * 4 * (mdrnets * (sizes.mdrnet + sizes.discriminator) + coarse * sizes.coarse + others)
    results = 0
    for name, run in experiments_and_baselines(p):
        pairs = pairs_of(p, images, run.dataset)
        kept = min(BUCKETS * p.evaluation.samples, pairs) * pixels * 3
        results += p.seeds_of(name) * ((pairs + images[run.dataset].test) * sizes.features * 4 + kept + 300 * pairs)
    needed = {
        "prepared data": prepared,
        "banks": banks,
        "networks": models,
        "checkpoints": state,
        "results": results,
        "DVC's cache": prepared + banks + models + results,
        "reports": REPORTS,
    }
    return {kind: size for kind, size in needed.items() if size}


def bytes_there(root: Path) -> int:
    """What an earlier run left in the folders whose content a run replaces."""
    total = 0
    for part in REPLACED:
        for folder, _, files in os.walk(root / part):
            for name in files:
                try:
                    total += (Path(folder) / name).lstat().st_size
                except OSError:  # removed by a run that is going on
                    continue
    return total


def run_is_here(parameters: Parameters, root: Path) -> bool:
    """Whether the checkout `root` has every output of a run with these parameters, by names and records alone.

    A record holds the values of the parameters that its stage has read; code and photos are not compared.
    """
    try:
        if load_parameters(root / "params.yaml") != parameters:
            return False
        raw, stages = read_yaml(root / "params.yaml"), load_stages(root)
        for stage in stages.values():
            then = json.loads((root / record_path(stage.name)).read_bytes())["parameters"]
            now = json.loads(json.dumps({key: parameter(key, raw) for key in stage.params}))
            if then != now or not all((root / out).exists() for out in stage.outs):
                return False
    except (InputError, OSError, ValueError, KeyError, TypeError):
        return False
    return bool(stages)


def gigabytes(count: float) -> str:
    """Bytes as "0.4 GB", "12 GB"."""
    amount = count / 1e9
    return f"{amount:.1f} GB" if amount < 10 else f"{amount:,.0f} GB"
