"""Settings of data sets, masks and protocols: the sections `data`, `masks` and `protocols` of params.yaml.

They stand here and not with the other parameters because their defaults decide what is drawn and packed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from replication.settings import Count, NonNegative, Settings, Share


class _DataSet(Settings):
    title: str
    seed: NonNegative = 0
    image_size: int | None = Field(None, ge=32, le=512, description="pixels; of this set alone, else the profile's")


class DrawnFaces(_DataSet):
    """Faces from the seeded renderer."""

    possible_fields: ClassVar[frozenset[str]] = frozenset(
        {"image", "parsing", "identity", "attributes", "landmarks", "boxes"}
    )

    source: Literal["drawn"] = "drawn"
    distribution: Literal["celebahq", "ffhq", "both"] = "celebahq"
    train: Count
    test: NonNegative


class Photos(_DataSet):
    """Faces packed from a folder of photos."""

    source: Literal["photos"] = "photos"
    folder: str
    train: Count | None = Field(None, description="at most so many; null = all")
    test: NonNegative | None = Field(None, description="at most so many; null = all")
    table: str | None = None
    parsing_folder: str | None = None
    parsing_order: Literal["bisenet", "g_mask"] = "bisenet"
    align: Literal["none", "ffhq", "celebahq"] = "none"
    resize: Literal["lanczos", "box"] = Field("lanczos", description="filter that makes photos smaller")
    splits: dict[str, Literal["train", "test", "unused"]] | None = Field(
        None,
        description="name in the table's column split -> what it becomes; null = train, and test or val for testing",
    )
    test_fraction: Share = 0.1
    duplicates: Literal["refuse", "drop", "allow"] = "refuse"
    skip_corrupt: bool = False
    allow_upscaling: bool = False

    @property
    def possible_fields(self) -> frozenset[str]:
        """The batch fields that the set may turn out to have; what a table names is known when it is read."""
        from_table = {"identity", "attributes", "landmarks"} if self.table is not None else set()
        return frozenset({"image", *from_table, *({"parsing"} if self.parsing_folder is not None else ())})

    def faults(self) -> Iterator[tuple[str, str]]:
        """Landmarks and splits stand in a table."""
        if self.align != "none" and not self.table:
            yield "table", f"needed with landmarks when align is {self.align}"
        if self.splits is not None and not self.table:
            yield "table", "needed with a column split when splits says what becomes of its names"
        if self.splits is not None and not {"train", "test"} <= set(self.splits.values()):
            yield "splits", "one name at least has to become train, and one test"
        for name in self.splits or ():
            if name != name.strip().lower():
                yield f"splits.{name}", "names are compared in small letters and without spaces around; write it so"


DataSet = Annotated[DrawnFaces | Photos, Field(discriminator="source")]


class _Masks(Settings):
    train: Count
    test_per_bucket: Count
    seed: NonNegative = 0


class DrawnMasks(_Masks):
    """Strokes and shapes in the style of Liu et al. 2018; 1 = hole."""

    source: Literal["drawn"] = "drawn"


class NvidiaMasks(_Masks):
    """The published irregular masks; 1 = hole here, whatever the files say."""

    source: Literal["nvidia"] = "nvidia"
    test_folder: str
    train_folder: str | None = None


Masks = Annotated[DrawnMasks | NvidiaMasks, Field(discriminator="source")]


class Protocol(Settings):
    """How runs are measured: which holes, and what a pair brings beside them."""

    datasets: tuple[str, ...] = Field(description="data sets whose test images are paired")
    holes: Literal["irregular", "eye_boxes", "regions"] = "irregular"
    regions: tuple[Literal["mouth", "eyes", "nose", "face"], ...] = Field((), description="fixed holes of `regions`")
    exemplar: Literal["none", "same_identity", "other_identity"] = Field(
        "none", description="another test image of each pair: of the same person, or of another one"
    )

    def faults(self) -> Iterator[tuple[str, str]]:
        """Regions are those of one kind of holes."""
        if (self.holes == "regions") != bool(self.regions):
            yield "regions", "list them when holes is regions, and only then"
