"""Several processes, one training: the few collectives that the suite needs, as no-ops for one process.

Started with `torchrun --nproc-per-node N -m replication ...`, the first use joins the process group that
torchrun describes in the environment (NCCL for CUDA tensors, gloo for CPU ones). Started plainly, every
function returns its argument. This module sits at the top of the package, below all rooms, because a layer
(the memory module) needs it as much as the training loop.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from typing import TypeVar, overload

import torch
import torch.distributed as dist
from torch import Tensor, nn

from replication.errors import InputError

BUCKET_BYTES = 32 * 2**20  # one collective per so many bytes: few launches, little extra memory
Tensors = TypeVar("Tensors", bound=list[Tensor])


class Distributed:
    """One process's view of the group.

    Attributes:
        rank: 0 .. world_size - 1; rank 0 alone writes files.
        world_size: processes in the group, 1 without torchrun.
    """

    def __init__(self, rank: int = 0, world_size: int = 1):
        self.rank, self.world_size = rank, world_size

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    @overload
    def all_reduce_sum(self, tensors: Tensor) -> Tensor: ...
    @overload
    def all_reduce_sum(self, tensors: Tensors) -> Tensors: ...
    def all_reduce_sum(self, tensors):
        """Sum over ranks of one tensor, or of each of a list; like is returned, the argument is left alone.

        Carries no gradient. Every rank must call it equally often with the same shapes.
        """
        if self.world_size == 1:
            return tensors
        if isinstance(tensors, Tensor):
            return self._sum_flat([tensors])[0]
        return self._sum_flat(tensors)

    def all_reduce_mean(self, tensors: list[Tensor]) -> list[Tensor]:
        """Mean over ranks of each tensor, coalesced in flat buckets; used for gradients."""
        if self.world_size == 1:
            return tensors
        return [tensor.div_(self.world_size) for tensor in self._sum_flat(tensors)]

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.world_size > 1:
            # Reading the sum waits for it, also on CUDA, where dist.barrier would have to guess the device.
            box = torch.ones(1, device=_collective_device())
            dist.all_reduce(box)
            box.item()

    @torch.no_grad()
    def broadcast_module(self, module: nn.Module) -> None:
        """Give every rank rank 0's parameters and buffers."""
        if self.world_size > 1:
            self.broadcast_tensors([*module.parameters(), *module.buffers()])

    @torch.no_grad()
    def broadcast_tensors(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite `tensors`, in place, with rank 0's."""
        if self.world_size == 1:
            return
        for tensor in tensors:
            dense = tensor.detach().contiguous()
            dist.broadcast(dense, src=0)
            tensor.detach().copy_(dense)

    def broadcast_number(self, value: int) -> int:
        """Rank 0's integer, on every rank."""
        if self.world_size == 1:
            return value
        box = torch.tensor([value], dtype=torch.int64, device=_collective_device())
        dist.broadcast(box, src=0)
        return int(box)

    def sync_batch_norm(self, module: nn.Module, device: torch.device) -> None:
        """Let the batch norms inside `module` use the joint batch of all ranks, in place.

        Raises:
            InputError: several ranks on a device other than CUDA: torch's SyncBatchNorm is CUDA
                only, and without it each rank would silently keep its own running statistics.
        """
        kind = nn.modules.batchnorm._BatchNorm
        norms = [name for name, child in module.named_modules() if isinstance(child, kind)]
        if self.world_size == 1 or not norms:
            return
        if device.type != "cuda":
            raise InputError(
                f"batch norm ({norms[0]}) over {self.world_size} processes needs CUDA: use one process on {device.type}"
            )
        nn.SyncBatchNorm.convert_sync_batchnorm(module)

    @torch.no_grad()
    def _sum_flat(self, tensors: list[Tensor]) -> list[Tensor]:
        out: list[Tensor] = [torch.empty(0)] * len(tensors)
        for indices in _buckets(tensors):
            flat = torch.cat([tensors[i].detach().reshape(-1) for i in indices])
            dist.all_reduce(flat)
            for i, part in zip(indices, flat.split([tensors[i].numel() for i in indices]), strict=True):
                out[i] = part.view(tensors[i].shape)
        return out


def _buckets(tensors: list[Tensor]) -> list[list[int]]:
    """Indices grouped by device and dtype, each group at most `BUCKET_BYTES` (or one tensor)."""
    buckets: list[list[int]] = []
    open_bucket: dict[tuple[torch.device, torch.dtype], tuple[list[int], int]] = {}
    for i, tensor in enumerate(tensors):
        key = (tensor.device, tensor.dtype)
        indices, size = open_bucket.get(key, ([], 0))
        if not indices or size + tensor.nbytes > BUCKET_BYTES:
            indices, size = [], 0
            buckets.append(indices)
        indices.append(i)
        open_bucket[key] = (indices, size + tensor.nbytes)
    return buckets


def _collective_device() -> torch.device:
    if dist.get_backend() == "nccl" or "nccl" in str(dist.get_backend_config()):
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


_ALONE = Distributed()
_together: Distributed | None = None


def current() -> Distributed:
    """The group of this process: torchrun's, joined at the first call, or the group of one."""
    global _together
    if _together is None:
        if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
            return _ALONE
        if not dist.is_initialized():
            backend = "gloo"
            if torch.cuda.is_available():
                torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
                backend = "cpu:gloo,cuda:nccl"
            try:
                dist.init_process_group(backend)
            except (dist.DistError, ValueError) as error:
                place = ":".join(os.environ.get(key, "?") for key in ("MASTER_ADDR", "MASTER_PORT"))
                raise InputError(
                    f"the processes could not meet at {place} (MASTER_ADDR:MASTER_PORT): {str(error).splitlines()[0]}; "
                    "is the port free, and can every machine reach it?"
                ) from error
            atexit.register(leave)
        _together = Distributed(dist.get_rank(), dist.get_world_size())
    return _together


def leave() -> None:
    """Leave the group, if one was joined; torch warns about a process that ends without."""
    global _together
    if _together is not None and dist.is_initialized():
        dist.destroy_process_group()
    _together = None


def all_reduce_sum(tensors):
    """`current().all_reduce_sum(tensors)`: the tensor, or list of tensors, summed over ranks."""
    return current().all_reduce_sum(tensors)
