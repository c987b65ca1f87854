"""The named tensors of one pass through MDRNets, with the paper's symbols."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from replication.data.labels import CLASSES_14
from replication.methods import Trace, tensor


@dataclass(frozen=True)
class MDRNetTrace(Trace):
    """B images of H x W; h x w the feature grid, half as wide; c style channels; n = 14 classes; m slots (of a class's
    block, or of the shared memory); N patches of the feature grid, row by row.
    """

    coarse: Tensor = tensor("picture", "P, the coarse face with the known pixels pasted back")
    parsing: Tensor = tensor("labels", "labels of P by the parser, 19 classes")
    classes: Tensor = tensor("labels", "S, the semantic map of P, 14 classes", names=CLASSES_14)
    hole: Tensor = tensor("mask", "M on the feature grid: a cell is a hole if any pixel under it is")
    style: Tensor = tensor("map", "F_s, style features of P")
    query: Tensor = tensor("vectors", "Q: F_s pooled over each class (n, c)", names=CLASSES_14)
    present: Tensor = tensor(
        "flags",
        "classes that are in S on the feature grid, every second pixel; smaller ones are lost",
        names=CLASSES_14,
    )
    value: Tensor = tensor("vectors", "V: F_s pooled over the known part of each class (n, c)", names=CLASSES_14)
    visible: Tensor = tensor("flags", "the same for the known part of S", names=CLASSES_14)
    read_weights: Tensor = tensor(
        "matrix", "a, what each class reads of each slot (n, m); rows sum to 1", names=CLASSES_14
    )
    read: Tensor = tensor("vectors", "Q^, the memory reads (n, c)", names=CLASSES_14)
    fused: Tensor = tensor("map", "F_fuse: memory reads in the hole, V elsewhere, by class")
    correlation: Tensor = tensor("matrix", "A, correlation of patches (N, N); a row is a patch that receives")
    guide: Tensor = tensor("map", "F_f, what SPADE gets")
    gamma: Tensor = tensor("map", "SPADE's scale in the last block")
    beta: Tensor = tensor("map", "SPADE's shift in the last block")
    raw: Tensor = tensor("picture", "R, the raw output")
    log: dict[str, Tensor] = field(default_factory=dict, kw_only=True)
