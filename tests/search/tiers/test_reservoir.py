from __future__ import annotations

import numpy as np

from gpunet.search.tiers.reservoir import Reservoir


def test_every_row_is_kept_equally_often():
    rng = np.random.default_rng(0)
    rows = np.arange(40)[:, None]
    kept = np.zeros(40)
    for _ in range(2000):
        reservoir = Reservoir(10, 1)
        keys = rng.random(40)
        for start in range(0, 40, 7):  # rows at the end of the stream stand no worse
            part = slice(start, start + 7)
            useful = keys[part] < reservoir.threshold
            reservoir.offer(rows[part][useful], keys[part][useful])
        assert len(reservoir.rows()) == 10
        kept[reservoir.rows()[:, 0]] += 1
    # 2000 trials of probability 1/4: standard deviation 19
    assert np.abs(kept - 500).max() < 4 * 19.4


def test_the_order_of_the_stream_does_not_matter():
    rows, keys = np.arange(100)[:, None], np.random.default_rng(1).random(100)
    forwards, backwards = Reservoir(7, 1), Reservoir(7, 1)
    forwards.offer(rows, keys)
    for row, key in zip(rows[::-1], keys[::-1], strict=True):
        backwards.offer(row[None], key[None])
    assert np.array_equal(forwards.rows(), backwards.rows())
    assert forwards.rows()[:, 0].tolist() == np.argsort(keys)[:7].tolist()


def test_a_short_stream_is_kept_whole():
    reservoir = Reservoir(5, 2)
    reservoir.offer(np.array([[1, 2], [3, 4]]), np.array([0.9, 0.1]))
    assert reservoir.threshold == 1.0
    assert reservoir.rows().tolist() == [[3, 4], [1, 2]]
