"""Training of MDRNets: the seven losses of ShowFace's equation 15 around one generator pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from replication.layers.patch_gan import PatchGAN
from replication.losses.adversarial import discriminator_loss, generator_loss
from replication.losses.coordination import coordination_loss
from replication.losses.perceptual import perceptual_loss, style_loss
from replication.losses.reconstruction import reconstruction_loss
from replication.losses.semantic import semantic_loss
from replication.losses.total_variation import total_variation_loss
from replication.methods import composite
from replication.methods.mdrnet.frozen_networks import FrozenJudges
from replication.methods.mdrnet.network import MDRNet, Priors, classes_of
from replication.training.schedules import LearningRate, set_rate
from replication.training.trainable import Trainable


@dataclass(frozen=True)
class LossSettings:
    """Weights of equation 15 (the paper reports none) and the readings of its terms."""

    intra: float = 1.0
    inter: float = 1.0
    semantic: float = 0.1
    reconstruction: float = 1.0
    perceptual: float = 0.1
    style: float = 250.0
    adversarial: float = 0.1
    total_variation: float = 0.1
    apply_to: str = "raw"  # raw output R, or the composite
    regions: str = "semantic"  # InCo2: one row per class, or one per mask side
    similarity: str = "dot"
    semantic_classes: str = "19"


class MDRNetTraining(Trainable):
    """Generator and discriminator, one step each per batch: priors, generator pass with its one memory
    update, discriminator step on R detached, generator step.

    Args:
        generator: the MDRNet.
        discriminator: PatchGAN over images.
        priors: frozen coarse network and parser; used unless the batch brings `coarse` and `labels`
            computed beforehand.
        judges: frozen parser, perceptual features and reconstruction encoder the losses look through.
        rate, betas: Adam for both networks; the discriminator's rate is `discriminator_lr_ratio` times as high.
    """

    def __init__(
        self,
        generator: MDRNet,
        discriminator: PatchGAN,
        priors: Priors,
        judges: FrozenJudges,
        losses: LossSettings,
        *,
        rate: LearningRate,
        betas: tuple[float, float],
        discriminator_lr_ratio: float = 1.0,
    ):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.priors, self.judges, self.losses = priors, judges, losses
        self.rate, self.betas, self.lr_ratio = rate, betas, discriminator_lr_ratio
        self.add_frozen("coarse", priors.coarse_network.network)
        self.add_frozen("prior_parser", priors.parser)
        for name in ("parser", "perceptual", "encoder"):
            if isinstance(getattr(judges, name), torch.nn.Module):
                self.add_frozen(name, getattr(judges, name))

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        generator, discriminator = self.generator.parameters(), self.discriminator.parameters()
        self._generator_optimizer = torch.optim.Adam(generator, self.rate.peak, self.betas, fused=True)
        self._discriminator_optimizer = torch.optim.Adam(discriminator, self.rate.peak, self.betas, fused=True)
        return {"generator": self._generator_optimizer, "discriminator": self._discriminator_optimizer}

    def inference_weights(self) -> dict[str, Tensor]:
        return self.generator.state_dict()

    def generator_terms(self, output: Tensor, image: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """The unweighted terms of equation 15 but the adversarial one; those of weight 0 are left out."""
        w = self.losses
        coordination = w.intra > 0 or w.inter > 0
        wanted = {
            "parsing": w.semantic > 0 or (coordination and w.regions == "semantic"),
            "perceptual": w.perceptual > 0 or w.style > 0,
            "encoding": coordination,
        }
        truth = self.judges.reference(image, **wanted)
        judged = self.judges(output, **(wanted | {"parsing": w.semantic > 0}))
        terms = {"reconstruction": reconstruction_loss(output, image)}
        if coordination:
            classes = classes_of(truth.labels) if w.regions == "semantic" else None
            both = coordination_loss(
                judged.encoded, truth.encoded, mask, classes, regions=w.regions, similarity=w.similarity
            )
            terms |= {"intra": both.intra, "inter": both.inter}
        if w.semantic > 0:
            merged = 14 if w.semantic_classes == "14" else None
            terms["semantic"] = semantic_loss(judged.logits, truth.labels, merged)
        if w.perceptual > 0:
            terms["perceptual"] = perceptual_loss(judged.maps.perceptual, truth.maps.perceptual)
        if w.style > 0:
            terms["style"] = style_loss(judged.maps.style, truth.maps.style)
        if w.total_variation > 0:
            terms["total_variation"] = total_variation_loss(output)
        return terms

    def weighted(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Sum of the terms times their weights."""
        return sum(getattr(self.losses, name) * value for name, value in terms.items())

    def training_step(self, batch: dict, update: Callable[[str, Tensor], None]) -> dict[str, Tensor]:
        image, mask = batch["image"], batch["mask"]
        rate = self.rate.at(batch["images_seen"])
        set_rate([self._generator_optimizer], rate)
        set_rate([self._discriminator_optimizer], rate * self.lr_ratio)
        if "coarse" in batch:
            coarse, labels = batch["coarse"], batch["labels"]
        else:
            coarse, labels = self.priors(image, mask)
        passed = self.generator(coarse, classes_of(labels), mask, update_memory=True)
        output = passed["raw"]
        if self.losses.apply_to == "composite":
            output = composite(output, image, mask)
        scalars = {}
        adversarial = self.losses.adversarial > 0
        if adversarial:
            # One pass over real and fake together: half the launches, and batch norm sees both.
            fake, real = self.discriminator(torch.cat([output.detach(), image])).chunk(2)
            scalars["discriminator"] = discriminator_loss(real, fake)
            update("discriminator", scalars["discriminator"])
        terms = self.generator_terms(output, image, mask)
        if adversarial:
            terms["adversarial"] = generator_loss(self.discriminator(output))
        total = self.weighted(terms)
        update("generator", total)
        scalars |= terms | {"generator": total}
        scalars |= {key.removeprefix("log_"): value for key, value in passed.items() if key.startswith("log_")}
        return {key: value.detach() for key, value in scalars.items()}
