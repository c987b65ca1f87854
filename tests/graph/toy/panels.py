"""The toy's own panel."""

from matplotlib.figure import Figure

from replication.methods import Inside


def noise(inside: Inside) -> Figure:
    """The noise as a picture."""
    figure = Figure()
    figure.subplots().imshow(inside.trace.noise[0, 0].numpy())
    figure.suptitle(inside.title)
    return figure
