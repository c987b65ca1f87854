"""Arrays on disk that grow row by row: written without knowing their length, read memory-mapped."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from types import TracebackType

import numpy as np

from replication.errors import InputError

HEADER_BYTES = 128
"""Bytes of a file before its first row."""

_BLOCK_BYTES = 2**24


class RowWriter:
    """Appends rows to a `.npy` file (format 1.0) and counts them in its header when it is closed.

    row_shape: shape of one row; dtype: of all rows. Use as a context manager inside an `atomic_folder`:
    a file that was not closed has a header of zero rows. keep: go on behind the first so many rows of a file
    that is there already; whatever follows them is cut off. Raises ValueError if it has fewer.
    `sha256` is the hash of the rows' bytes (not of the header), complete after the last append.
    """

    def __init__(
        self, path: str | Path, row_shape: tuple[int, ...], dtype: np.dtype | type | str, *, keep: int = 0
    ) -> None:
        self.rows = 0
        self._row_shape = tuple(row_shape)
        self._dtype = np.dtype(dtype)
        self._hash = hashlib.sha256()
        self._file = open(path, "r+b" if keep else "wb")  # noqa: SIM115  closed in close()
        self._write_header()
        if keep:
            self._keep(keep)

    def _keep(self, rows: int) -> None:
        """Hash the rows that stay, cut off the others, and stand behind them."""
        left = rows * math.prod(self._row_shape) * self._dtype.itemsize
        while left:
            block = self._file.read(min(left, _BLOCK_BYTES))
            if not block:
                self._file.close()
                raise ValueError(f"{self._file.name} has fewer than the {rows} rows that it should keep")
            self._hash.update(block)
            left -= len(block)
        self._file.truncate(self._file.tell())
        self._file.seek(0, os.SEEK_END)
        self.rows = rows

    def _write_header(self) -> None:
        shape = (self.rows, *self._row_shape)
        described = f"{{'descr': {self._dtype.str!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
        text = described.encode().ljust(HEADER_BYTES - 11) + b"\n"
        self._file.seek(0)
        self._file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)

    def append(self, rows: np.ndarray) -> None:
        """Append rows (n, *row_shape). Raises ValueError for another shape or type."""
        if rows.shape[1:] != self._row_shape or rows.dtype != self._dtype:
            raise ValueError(f"rows are {rows.dtype}{rows.shape}, the file holds {self._dtype}{self._row_shape}")
        data = memoryview(np.ascontiguousarray(rows)).cast("B") if rows.size else b""
        self._file.write(data)
        self._hash.update(data)
        self.rows += len(rows)

    def flush(self) -> None:
        """Hand everything to the operating system: it then survives the end of this process, however it ends."""
        self._file.flush()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def close(self) -> None:
        if not self._file.closed:
            self._write_header()
            self._file.close()

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_rows(path: Path, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Memory-map a uint8 `.npy` file that must have `shape`.

    Raises InputError (beginning with `what`, e.g. "face store data/prepared/ffhq") if it is missing, cut off
    or of another shape.
    """
    if not path.is_file():
        raise InputError(f"{what} is incomplete: {path.name} is missing; prepare it again")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{what} is damaged: {path.name} cannot be read ({error}); prepare it again") from error
    if array.shape != shape or array.dtype != np.uint8:
        raise InputError(
            f"{what} is damaged: {path.name} holds {array.dtype}{array.shape}, its card says uint8{shape}; "
            "prepare it again"
        )
    return array


def hash_rows(array: np.ndarray, chunk: int = 1024) -> str:
    """sha256 of the bytes of all rows, read in chunks: what `RowWriter.sha256` was when they were written."""
    digest = hashlib.sha256()
    for start in range(0, len(array), chunk):
        digest.update(memoryview(np.ascontiguousarray(array[start : start + chunk])).cast("B"))
    return digest.hexdigest()
