"""A feature's place in the tree of a nested dictionary, and its selectivity for treatments."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import viewer_fakes

from napari_phenolens.analysis import AnalysisError, family, treatment_selectivity


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = viewer_fakes.write_plate(tmp_path_factory.mktemp("plate") / "p")
    return viewer_fakes.FakeRun(folder, folder)


def test_selectivity_is_the_share_in_a_treatment_less_that_elsewhere(run: Any) -> None:
    table = treatment_selectivity(run)
    assert table.attrs["column"] == "compound"
    active, compound = run.profiles(kind="active"), run.metadata["compound"].reindex(run.wells)
    for feature in (0, 3, 11):
        shares = {
            c: active.loc[compound == c, feature].mean() - active.loc[compound != c, feature].mean()
            for c in set(compound)
        }
        best = max(shares, key=shares.__getitem__)
        assert table.loc[feature, "selective_for"] == best
        assert table.loc[feature, "selectivity"] == pytest.approx(shares[best])
    assert 0 < table.attrs["by_chance"] < 1
    assert treatment_selectivity(run, "control_type").attrs["column"] == "control_type"
    with pytest.raises(AnalysisError, match="no column 'drug'"):
        treatment_selectivity(run, "drug")


def test_without_treatments_there_is_none(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "metadata", run.metadata.drop(columns="compound"))
    assert len(treatment_selectivity(run)) == 0
    monkeypatch.setattr(run, "metadata", run.metadata.assign(compound="DMSO"))
    assert len(treatment_selectivity(run)) == 0


def test_family(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(family(run, 3)) == 0
    parent = np.array([-1] * 4 + [0, 0, 1, 1] + [4] * 16)
    tree = pd.DataFrame({"level": [0] * 4 + [1] * 4 + [2] * 16, "parent": parent})
    nested = SimpleNamespace(atoms=run.lens.dictionary.atoms, levels=(4, 8, 24), tree=tree)
    monkeypatch.setattr(run.lens, "dictionary", nested)
    table = family(run, 4)
    assert table.index[:2].tolist() == [0, 4]
    assert table["relation"].tolist() == ["ancestor", "itself", *["child"] * 16]
    assert set(table.index[2:]) == set(range(8, 24))
    assert table["density"].iloc[2:].is_monotonic_decreasing
    assert family(run, 20)["relation"].tolist() == ["ancestor", "ancestor", "itself"]
    assert family(run, 20).index.tolist() == [0, 4, 20]
    with pytest.raises(AnalysisError, match="no feature"):
        family(run, 24)
