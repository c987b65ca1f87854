"""Toy trainings, and a server that runs them in processes which may be killed.

Importing torch takes two seconds, so one server process imports it once and forks a child per run: `python
toy_runs.py` reads requests (one JSON object a line) and answers each with one line.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

import torch
from torch import nn

import replication.atomic
from replication import distributed
from replication.training import checkpoint
from replication.training.fit import fit
from replication.training.history import History, read
from replication.training.trainable import Trainable

BATCH = 4


class ToyGAN(Trainable):
    """A generator, a discriminator with spectral norm, a moving average summed over ranks.

    noise: draw random numbers in the step (each rank draws its own).
    at: {step: what to do inside that step}, see `_disturb`.
    pause: seconds that every step sleeps.
    """

    def __init__(self, noise: bool = True, at: dict[int, str] | None = None, pause: float = 0.0):
        super().__init__()
        torch.manual_seed(7)
        self.g = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))
        self.d = nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 1, 3))
        self.register_buffer("average", torch.zeros(3))
        self.noise, self.at, self.pause = noise, at or {}, pause
        self.clock: list[int] = []

    def optimizers(self):
        return {
            "d": torch.optim.Adam(self.d.parameters(), 1e-3, (0.9, 0.99)),
            "g": torch.optim.Adam(self.g.parameters(), 1e-3, (0.9, 0.99)),
        }

    def training_step(self, batch, update):
        self.clock.append(batch["images_seen"])
        time.sleep(self.pause)
        image, mask = batch["image"], batch["mask"]
        x = torch.cat([image * (1 - mask), mask], 1)
        if self.noise:
            x = x + 0.1 * torch.randn_like(x)
        fake = self.g(x)
        d_loss = (self.d(fake.detach()) - self.d(image)).mean()
        update("d", d_loss)
        _disturb(self.at.get(batch["step"]))
        g_loss = (fake - image).abs().mean() - 0.1 * self.d(fake).mean()
        update("g", g_loss)
        sums = distributed.all_reduce_sum(fake.detach().float().sum((0, 2, 3)))
        self.average.mul_(0.9).add_(sums, alpha=0.001)
        scalars = {"d": d_loss, "g": g_loss}
        return scalars if batch["step"] % 2 else scalars | {"average": self.average.mean()}


class ToyBatches:
    """Random images, a function of the step; `broken`: a step whose second image is NaN."""

    batch_size = BATCH

    def __init__(self, rank: int = 0, world_size: int = 1, broken: int | None = None):
        self.rank, self.world_size, self.broken = rank, world_size, broken

    def batch(self, step: int) -> dict:
        generator = torch.Generator().manual_seed(step)
        image = torch.rand(BATCH, 3, 8, 8, generator=generator) * 2 - 1
        if step == self.broken:
            image[1] = torch.nan
        mask = (torch.rand(BATCH, 1, 8, 8, generator=generator) < 0.3).float()
        share = BATCH // self.world_size
        part = slice(self.rank * share, (self.rank + 1) * share)
        ids = [f"face-{BATCH * step + i}" for i in range(BATCH)]
        return {"image": image[part], "mask": mask[part], "ids": ids[part]}


def wait_for(condition, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


def state_folder(root: Path) -> Path:
    (folder,) = (root / "toy").iterdir()
    return folder


def fingerprint(root: Path, steps: int = 30) -> dict[str, str]:
    """SHA-256 of the weights, the optimisers and the history (without seconds) of a finished run."""
    folder = state_folder(root)
    state = torch.load(folder / f"step-{steps:09d}.pt", weights_only=True)

    def flatten(value, path=""):
        if isinstance(value, torch.Tensor):
            yield path, value.contiguous().numpy().tobytes()
        elif isinstance(value, dict):
            for key in value:
                yield from flatten(value[key], f"{path}/{key}")
        elif isinstance(value, list | tuple):
            for i, item in enumerate(value):
                yield from flatten(item, f"{path}/{i}")
        else:
            yield path, repr(value).encode()

    def digest(items) -> str:
        return hashlib.sha256(b"".join(path.encode() + content for path, content in items)).hexdigest()

    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in read(folder / "history.jsonl")]
    return {
        "weights": digest(flatten(state["trainable"])),
        "optimizers": digest(flatten(state["optimizers"])),
        "history": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
    }


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _disturb(what: str | None) -> None:
    if what == "die":
        _die()
    elif what == "hang":
        time.sleep(60)
    elif what == "full disk":
        # No file may grow beyond 2 KiB from here on: a checkpoint has 30 KiB, a history line 100 bytes.
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
    elif what is not None:
        raise AssertionError(what)


def die_while(doing: str, step: int) -> None:
    """Make this process kill itself at a point of the code that writes."""
    save, replace, append = torch.save, os.replace, History.append
    target = f"step-{step:09d}"

    def half_save(state, file):
        save(state, file)
        if state["progress"]["step"] == step:
            file.truncate(file.tell() // 2)
            _die()

    def stop_at_replace(source, destination):
        if doing == "renaming" and Path(destination).name == f"{target}.pt":
            _die()
        replace(source, destination)
        if doing == "manifest" and Path(destination).name == f"{target}.pt":
            _die()
        if doing == "sweeping" and Path(destination).name == f"{target}.json":
            _die()

    def half_append(history, at, *rest):
        append(history, at, *rest)
        if at == step:
            os.truncate(history.path, history.path.stat().st_size - 20)
            _die()

    if doing == "saving":
        checkpoint.torch.save = half_save
    elif doing in ("renaming", "manifest", "sweeping"):
        replication.atomic.os.replace = stop_at_replace
    elif doing == "history":
        History.append = half_append
    else:
        raise AssertionError(doing)


def train(
    root,
    *,
    steps=30,
    at=None,
    die=None,
    pause=0.0,
    noise=True,
    broken=None,
    checkpoint_steps=5,
    history_every=3,
    **options,
):
    """Run `fit` on the toy; JSON arguments only. Same folder for the same steps."""
    if die is not None:
        die_while(*die)
    trainable = ToyGAN(noise, {int(step): what for step, what in (at or {}).items()}, pause)
    group = distributed.current()
    return fit(
        trainable,
        ToyBatches(group.rank, group.world_size, broken),
        steps=steps,
        state_root=root,
        name="toy",
        config={"toy": 1, "noise": noise},
        seed=3,
        device="cpu",
        checkpoint_steps=checkpoint_steps,
        history_every=history_every,
        **options,
    )


def parent_of_train(root, child_file, **arguments):
    """Start `train` in a child, write its pid, wait: the parent that a test kills."""
    os.environ["REPLICATION_WATCH_PIDS"] = str(os.getpid())
    child = os.fork()
    if child == 0:
        _finish(train, {"root": root, **arguments})
    Path(child_file).write_text(str(child))
    os.waitpid(child, 0)


def _finish(job, arguments) -> None:
    """Run a job to the end of this process: 0, 1 with a traceback, or 130 for an interrupt."""
    code = 1
    try:
        job(**arguments)
        code = 0
    except KeyboardInterrupt as error:
        print(f"KeyboardInterrupt: {error}")
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        distributed.leave()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    """Answer {"job", "arguments", "environment", "log"} with a pid, {"poll": pid} with a code or null."""
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            sys.stdout.flush()
            answer = os.fork()
            if answer == 0:
                log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.dup2(log, 1)
                os.dup2(log, 2)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.environ.update(request["environment"])
                _finish(globals()[request["job"]], request["arguments"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    # torch imports these at the first optimiser step; once here is cheaper than once in every child.
    import torch._dynamo
    import torch.distributed.nn

    torch.set_num_threads(1)
    serve()
