"""Features like another: by their atoms, and by where they are active."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.analysis import AnalysisError, activity_sample, similar_features


@pytest.fixture
def run() -> Any:
    """Feature 1 is active where 0 is, 2 never with 0, 3 by chance, 4 never at all; 5 points the way of 0."""
    atoms = np.eye(6, 8, dtype=np.float32)
    atoms[5] = [0.8, 0, 0, 0, 0, 0.6, 0, 0]

    def codes(well: str, field: str) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([ord(well[0]), int(well[1:])])
        zero = rng.random(400) < 0.3
        value = np.zeros((400, 4), np.float32)
        value[:, 0], value[:, 1], value[:, 2] = zero, zero, ~zero
        value[:, 3] = rng.random(400) < 0.5
        value[:40] = 0  # background
        return np.tile(np.arange(4), (400, 1)) * (value > 0), value

    names = pd.Series(["", "twin", "", "", "", ""])
    return SimpleNamespace(
        wells=["A01", "A02", "B01"],
        fields=lambda well: ("1", "2"),
        codes=codes,
        n_features=6,
        plate_name="P",
        lens=SimpleNamespace(dictionary=SimpleNamespace(atoms=atoms)),
        density=pd.Series(np.linspace(0.1, 0.6, 6)),
        annotations=SimpleNamespace(names=lambda: names),
    )


def test_cosine_and_coactivation(run: Any) -> None:
    table = similar_features(run, 0, count=5)
    assert 0 not in table.index
    assert table.loc[5, "cosine"] == pytest.approx(0.8)
    assert table.loc[1, "coactivation"] == pytest.approx(1)
    assert table.loc[1, "together"] == 1
    assert table.loc[2, "coactivation"] == pytest.approx(-1)
    assert table.loc[2, "together"] == 0
    assert abs(table.loc[3, "coactivation"]) < 0.1
    assert table.loc[1, "name"] == "twin"
    assert np.isnan(table.loc[4, "coactivation"])
    assert table.index[:2].tolist() == [1, 5]
    assert table.attrs == {"patches": 6 * 360, "fields": 6}


def test_phi_is_pearsons(run: Any) -> None:
    sample = activity_sample(run)
    dense = np.asarray(sample.active.todense())
    table = similar_features(run, 3, count=6, sample=sample)
    for other in (0, 1, 2):
        assert table.loc[other, "coactivation"] == pytest.approx(np.corrcoef(dense[:, 3], dense[:, other])[0, 1])


def test_one_order_and_a_small_sample(run: Any) -> None:
    assert similar_features(run, 0, count=1, by="cosine").index.tolist() == [5]
    assert similar_features(run, 0, count=1, by="coactivation").index.tolist() == [1]
    small = activity_sample(run, most=800)
    assert small.fields == 2 and small.n == 720
    with pytest.raises(AnalysisError, match="no order 'colour'"):
        similar_features(run, 0, by="colour")
    with pytest.raises(AnalysisError, match="no feature 6"):
        similar_features(run, 6)
