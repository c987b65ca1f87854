"""Settings of the published Inception network."""

from __future__ import annotations

from pydantic import Field

from replication.methods import MethodSettings


class InceptionSettings(MethodSettings):
    """Where the file is; its hash decides whether a distance may be called FID."""

    weights: str = Field(
        "data/raw/weights/pt_inception-2015-12-05-6726825d.pth", description="pytorch-fid's file, checked by hash"
    )
