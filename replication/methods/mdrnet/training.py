"""Training of MDRNets: the seven losses of ShowFace's equation 15 around one generator pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from replication.layers.pasting import composite
from replication.layers.patch_gan import PatchGAN
from replication.losses.adversarial import discriminator_loss, generator_loss
from replication.losses.coordination import coordination_loss
from replication.losses.perceptual import perceptual_loss, style_loss
from replication.losses.reconstruction import reconstruction_loss
from replication.losses.semantic import semantic_loss
from replication.losses.total_variation import total_variation_loss
from replication.methods import Task, Training
from replication.methods.mdrnet.first_stage import FrozenFirstStage, fixed_pairs, open_first_stage
from replication.methods.mdrnet.frozen_networks import FrozenNetworks
from replication.methods.mdrnet.network import MDRNet, classes_of
from replication.methods.mdrnet.settings import Losses, MDRNetSettings
from replication.methods.perceptual import open_perceptual
from replication.training.schedules import LearningRate, set_rate
from replication.training.trainable import Trainable


def train(task: Task) -> Training:
    """Generator and discriminator of the run behind their frozen first stage.

    The generator's start is seeded anew, so that another discriminator leaves it as it is. Frozen networks are
    opened after both: what they draw before their weights are loaded cannot matter.
    """
    p: MDRNetSettings = task.settings
    torch.manual_seed(task.seed)
    discriminator = PatchGAN(width=p.discriminator_width, norm=p.discriminator_norm)
    torch.manual_seed(task.seed)
    generator = MDRNet(p)
    first_stage = open_first_stage(task)
    frozen = FrozenNetworks(
        parser=first_stage.parser,
        perceptual=open_perceptual(p.perceptual, "vgg19", task, first_stage.parser),
        encoder=task.open("reconstruction"),
    )
    trainable = MDRNetTraining(
        generator,
        discriminator,
        first_stage,
        frozen,
        p.losses,
        rate=LearningRate.of(p.schedule, task.train_images),
        betas=p.schedule.betas,
        discriminator_lr_ratio=p.discriminator_lr_ratio,
    )
    return Training(trainable, p.schedule, fixed_pairs(task))


class MDRNetTraining(Trainable):
    """Generator and discriminator, one step each per batch: first stage, generator pass with its one
    memory update, discriminator step on R detached, generator step.

    Args:
        generator: the MDRNet.
        discriminator: PatchGAN over images.
        first_stage: frozen coarse network and parser; used unless the batch brings `coarse` and `labels`
            computed beforehand.
        frozen: parser, perceptual features and reconstruction encoder that the losses look through.
        rate, betas: Adam for both networks; the discriminator's rate is `discriminator_lr_ratio` times as high.
    """

    def __init__(
        self,
        generator: MDRNet,
        discriminator: PatchGAN,
        first_stage: FrozenFirstStage,
        frozen: FrozenNetworks,
        losses: Losses,
        *,
        rate: LearningRate,
        betas: tuple[float, float],
        discriminator_lr_ratio: float = 1.0,
    ):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.first_stage, self.views, self.losses = first_stage, frozen, losses
        self.rate, self.betas, self.lr_ratio = rate, betas, discriminator_lr_ratio
        self.add_frozen("coarse", first_stage.coarse_network.network)
        self.add_frozen("first_stage_parser", first_stage.parser)
        for name in ("parser", "perceptual", "encoder"):
            if isinstance(getattr(frozen, name), torch.nn.Module):
                self.add_frozen(name, getattr(frozen, name))

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
        truth = self.views.reference(image, **wanted)
        seen = self.views(output, **(wanted | {"parsing": w.semantic > 0}))
        terms = {"reconstruction": reconstruction_loss(output, image)}
        if coordination:
            classes = classes_of(truth.labels) if w.regions == "semantic" else None
            both = coordination_loss(
                seen.encoded, truth.encoded, mask, classes, regions=w.regions, similarity=w.similarity
            )
            terms |= {"intra": both.intra, "inter": both.inter}
        if w.semantic > 0:
            merged = 14 if w.semantic_classes == "14" else None
            terms["semantic"] = semantic_loss(seen.logits, truth.labels, merged)
        if w.perceptual > 0:
            terms["perceptual"] = perceptual_loss(seen.maps.perceptual, truth.maps.perceptual)
        if w.style > 0:
            terms["style"] = style_loss(seen.maps.style, truth.maps.style)
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
            coarse, labels = self.first_stage(image, mask)
        passed = self.generator(coarse, classes_of(labels), mask, update_memory=True)
        output = passed.raw
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
        scalars |= passed.log
        return {key: value.detach() for key, value in scalars.items()}
