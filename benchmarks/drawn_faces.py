"""How fast faces are drawn: faces per second at 64 and 256 pixels, with one and with two processes.

OMP_NUM_THREADS=1 python benchmarks/drawn_faces.py [faces at 64 px, default 600]
"""

from __future__ import annotations

import sys
import time

from replication.data.drawn_faces import draw_faces


def faces_per_second(count: int, size: int, workers: int) -> float:
    """Faces per second after the first batch, which pays for starting the processes."""
    stream = draw_faces(0, count, distribution="ffhq", size=size, seed=0, batch=16, workers=workers)
    for _ in range(workers):
        next(stream)
    started = time.perf_counter()
    drawn = sum(len(batch.images) for batch in stream)
    return drawn / (time.perf_counter() - started)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    for size, faces in ((64, count), (256, max(64, count // 4))):
        one, two = faces_per_second(faces, size, 1), faces_per_second(faces, size, 2)
        print(f"{size} px: {one:.0f} faces/s with 1 worker, {two:.0f} with 2 (ratio {two / one:.2f})")


if __name__ == "__main__":
    main()
