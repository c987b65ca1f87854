from __future__ import annotations

import matplotlib.pyplot as plt

from replication.data.drawn import drawn_chunks
from replication.data.pair_rules import PairRule
from replication.data.pairs import write_pairs
from replication.data.store import write_store
from replication.drawing.pair_sheet import pair_sheet


def test_a_row_for_each_bucket_and_one_for_its_exemplars(tmp_path):
    chunks = drawn_chunks("ffhq", 32, train=1, test=8, seed=2)
    store = write_store(tmp_path / "s", name="drawn", size=32, chunks=chunks, source={})
    for exemplar, rows in (("none", 2), ("same_identity", 4)):
        rule = PairRule("parts", "regions", ("mouth", "face"), exemplar)
        pairs = write_pairs(tmp_path / "pairs.csv", store, None, seed=0, rule=rule)
        figure = pair_sheet(store, None, pairs, count=5)
        texts = {text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))}
        assert {"mouth", "face"} <= texts and ("exemplar" in texts) == (exemplar != "none")
        assert sum(len(axes.get_images()) for axes in figure.axes) + len(figure.images) == 5 * rows
        plt.close(figure)
