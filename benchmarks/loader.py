"""Images per second: training batches from the packed store against decoding JPEG files of the same size.

Both make float32 batches (B,3,S,S) in [-1,1] in random order, in one run and in turns, so that other work on
the machine meets both. The packed side also fetches masks and mirrors. Prints one JSON object.

    python benchmarks/loader.py --size 64 --images 2000
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from replication.data.irregular_masks import draw_mask_store
from replication.data.loader import TrainingBatches, images_to_tensor
from replication.data.prefetch import Prefetcher
from replication.data.store import Chunk, write_store


def smooth_pictures(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Pictures that compress about as well as photos: coarse noise, enlarged, plus a little grain."""
    rng = np.random.default_rng(seed)
    out = np.empty((count, size, size, 3), np.uint8)
    for k in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8))
        fine = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=np.int16)
        out[k] = np.clip(fine + rng.normal(0, 4, fine.shape), 0, 255)
    return out


def best_rate(work: dict[str, Callable[[int], int]], rounds: int) -> dict[str, float]:
    """Images per second of the fastest of `rounds` turns of each kind of work."""
    rates = dict.fromkeys(work, 0.0)
    for turn in range(rounds):
        for name, run in work.items():
            began = time.perf_counter()
            images = run(turn)
            rates[name] = max(rates[name], images / (time.perf_counter() - began))
    return rates


def measure(size: int, images: int, batch_size: int, rounds: int) -> dict[str, float | int]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = smooth_pictures(images, size)
        rows = pd.DataFrame({"id": [f"{k:06d}" for k in range(images)], "split": "train"})
        chunk = Chunk(images=pictures, rows=rows)
        store = write_store(folder / "store", name="noise", size=size, chunks=[chunk], source={})
        masks = draw_mask_store(folder / "masks", size=size, train=300, test_per_bucket=2, seed=0)
        files = [folder / f"{k:06d}.jpg" for k in range(images)]
        for picture, file in zip(pictures, files, strict=True):
            Image.fromarray(picture).save(file, quality=90)

        batches = TrainingBatches(store, masks, batch_size=batch_size, seed=0)
        steps = images // batch_size

        def packed(turn: int) -> int:
            for step in range(turn * steps, (turn + 1) * steps):
                batches.batch(step)
            return steps * batch_size

        def prefetched(turn: int) -> int:
            with Prefetcher(batches, turn * steps, (turn + 1) * steps) as ahead:
                return sum(len(batch["ids"]) for batch in ahead)

        def jpeg(turn: int) -> int:
            order = np.random.default_rng(turn).permutation(images)
            for step in range(steps):
                chosen = order[step * batch_size : (step + 1) * batch_size]
                images_to_tensor(np.stack([np.asarray(Image.open(files[k]).convert("RGB")) for k in chosen]))
            return steps * batch_size

        rates = best_rate({"packed": packed, "prefetched": prefetched, "jpeg": jpeg}, rounds)
    return {
        "size": size,
        "images": images,
        "batch_size": batch_size,
        **{f"{kind}_images_per_s": round(rate) for kind, rate in rates.items()},
        "packed_over_jpeg": round(rates["packed"] / rates["jpeg"], 1),
        "prefetched_over_jpeg": round(rates["prefetched"] / rates["jpeg"], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64, help="side in pixels")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each kind; the fastest counts")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.size, arguments.images, arguments.batch_size, arguments.rounds), indent=2))


if __name__ == "__main__":
    main()
