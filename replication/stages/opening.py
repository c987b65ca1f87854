"""Opening what was trained: every network is built from the arguments on its own card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from replication import paths
from replication.backbones.perceptual import ParserFeatures, PerceptualFeatures, VGG16Features, VGG19Features
from replication.config import Parameters
from replication.errors import InputError
from replication.methods import Inpainter
from replication.methods.attributes.network import AttributeFeatures, AttributeNetwork
from replication.methods.mdrnet.network import MDRNet, MDRNetInpainter, MDRNetSize, Priors
from replication.methods.parser.bisenet import BiSeNet, FaceParser
from replication.methods.pconv.network import PConvInpainter, PConvUNet
from replication.methods.reconstruction.network import ReconstructionEncoder, ReconstructionNetwork
from replication.training.checkpoint import load_weights


def _open(name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any], dict[str, Any]]:
    folder = paths.model(name)
    if not (folder / "card.json").is_file():
        raise InputError(f"{folder} does not exist: nothing named {name!r} has been trained yet")
    tensors, card = load_weights(folder)
    return tensors, card, dict(card["config"]["network"])


def load_parser() -> FaceParser:
    """The frozen face parser."""
    tensors, _, network = _open("parser")
    upscale = network.pop("upscale")
    parser = BiSeNet(**network)
    parser.load_state_dict(tensors)
    return FaceParser(parser, upscale)


def load_encoder() -> ReconstructionEncoder:
    """The frozen encoder behind InCo2."""
    tensors, _, network = _open("reconstruction")
    autoencoder = ReconstructionNetwork(**network)
    autoencoder.load_state_dict(tensors)
    return ReconstructionEncoder(autoencoder)


def load_perceptual(parameters: Parameters, vgg: str, parser: FaceParser | None = None) -> PerceptualFeatures:
    """VGG features ("vgg16" or "vgg19") with published weights, or the parser's trunk in offline profiles."""
    if parameters.perceptual.source == "parser":
        return ParserFeatures(parser if parser is not None else load_parser())
    if vgg == "vgg19":
        return VGG19Features(Path(parameters.perceptual.vgg19))
    return VGG16Features(Path(parameters.perceptual.vgg16))


def coarse_of(parameters: Parameters, dataset: str) -> str:
    """Folder below data/models of the coarse network that MDRNets on a data set use: the first of its trainings."""
    source = parameters.coarse.for_ffhq if dataset == "ffhq" else dataset
    return paths.repeat(f"coarse_{source}")


def load_pconv(name: str) -> PConvInpainter:
    """A trained partial-convolution network by its folder below data/models."""
    tensors, _, network = _open(name)
    unet = PConvUNet(**network)
    unet.load_state_dict(tensors)
    return PConvInpainter(unet.to(memory_format=torch.channels_last))


def load_priors(parameters: Parameters, dataset: str, device: torch.device | str = "cpu") -> Priors:
    """Coarse network and parser as MDRNets on `dataset` use them."""
    coarse, parser = load_pconv(coarse_of(parameters, dataset)), load_parser()
    coarse.network.to(device)
    parser.to(device, memory_format=torch.channels_last)
    return Priors(coarse, parser, parameters.coarse.paste)


def load_extractor(parameters: Parameters):
    """The network of the Frechet distance."""
    if parameters.evaluation.extractor == "inception":
        from replication.evaluation.frechet import InceptionFeatures

        return InceptionFeatures(Path(parameters.evaluation.inception_weights))
    tensors, card, network = _open("attributes")
    attributes = AttributeNetwork(**network)
    attributes.load_state_dict(tensors)
    # Distances by another training of this network are other distances: results say which one it was.
    return AttributeFeatures(attributes, sha256=card["weights_sha256"])


def load_inpainter(
    parameters: Parameters, name: str, device: torch.device | str = "cpu", *, k: int = 0
) -> tuple[Inpainter, dict[str, Any]]:
    """Any trained experiment or baseline by its name (its k-th training), and its card.

    Raises:
        InputError: no such name in the parameters, or not trained yet.
    """
    if name in parameters.baselines:
        folder = paths.repeat(f"coarse_{parameters.baselines[name].dataset}", k)
        inpainter = load_pconv(folder)
        inpainter.network.to(device)
        return inpainter, load_weights(paths.model(folder))[1]
    dataset = parameters.experiment(name).dataset
    tensors, card, network = _open(paths.repeat(name, k))
    network["size"] = MDRNetSize(**network["size"])
    generator = MDRNet(**network)
    generator.load_state_dict(tensors)
    generator.to(device, memory_format=torch.channels_last)
    return MDRNetInpainter(generator, load_priors(parameters, dataset, device)), card


def dataset_of(parameters: Parameters, name: str) -> str:
    """The data set of an experiment or baseline."""
    if name in parameters.baselines:
        return parameters.baselines[name].dataset
    return parameters.experiment(name).dataset
