"""Settings of the attribute network."""

from __future__ import annotations

from pydantic import Field

from replication.methods import MethodSettings
from replication.schedule import Schedule
from replication.settings import Count


class AttributeSettings(MethodSettings):
    """The network is this suite's own: no paper knows it."""

    width: Count = Field(24, description="channels of the first convolution")
    schedule: Schedule = Schedule(batch_size=32, lr=2e-3, betas=(0.9, 0.99), images=12000)
