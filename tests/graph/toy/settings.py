"""Settings of Toy."""

from replication.methods import MethodSettings
from replication.schedule import Schedule
from replication.settings import Count, Weight


class ToySettings(MethodSettings):
    """A kernel and how much noise it sees."""

    kernel: Count = 3
    noise: Weight = 0.1
    schedule: Schedule = Schedule(batch_size=4, lr=1e-2, betas=(0.9, 0.99), images=8)
