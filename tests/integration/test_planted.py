"""What was planted in the demo plate is found, what is a nuisance is called one, and what cannot be told is said so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_phenolens import compare, open_plate, open_run
from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED, demo_run_path, demo_truth, write_demo_plate
from napari_phenolens.run import Run, run_plate

PLANTED = ("translocation", "nuclear size", "actin texture")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The finished run in the package: the very one that `phenolens demo` makes."""
    return open_run(demo_run_path())


@pytest.fixture(scope="module")
def tables(run: Run) -> dict[str, pd.DataFrame]:
    return {name: compare(run, controls=DEMO_CONTROLS, perturbed=query) for name, query in DEMO_PERTURBED.items()}


@pytest.mark.parametrize("name", PLANTED)
def test_the_top_feature_parts_its_wells_from_the_controls(tables: dict[str, pd.DataFrame], name: str) -> None:
    features = tables[name][tables[name]["type"] == "feature"]
    first = features.iloc[0]
    assert abs(first["effect"]) == features["effect"].abs().max()
    assert max(first["auroc"], 1 - first["auroc"]) >= 0.95
    assert first["technical"] == "no"
    # A feature can follow the planted edge as well as its phenotype, and is then rightly flagged; others are not.
    assert (features.head(10)["technical"] == "no").sum() >= 3


def test_top_features_of_different_phenotypes_differ(tables: dict[str, pd.DataFrame]) -> None:
    first = {name: tables[name][tables[name]["type"] == "feature"].index[0] for name in PLANTED}
    assert len(set(first.values())) == len(PLANTED)


def test_fewer_cells_lead_among_the_covariates(tables: dict[str, pd.DataFrame]) -> None:
    table = tables["cell loss"]
    covariates = table[table["type"] == "covariate"].copy()
    covariates["size"] = covariates["effect"].abs()
    leading = covariates.sort_values("size", ascending=False)
    # how much of a field cells cover says the same as how many there are
    assert set(leading.index[:2]) == {"cell_count", "foreground_share"}
    assert leading.loc["cell_count", "effect"] < -4
    features = table[table["type"] == "feature"]
    assert bool(features.iloc[0]["count_linked"])


def test_the_dose_series_is_followed(run: Run, tables: dict[str, pd.DataFrame]) -> None:
    features = tables["translocation"][tables["translocation"]["type"] == "feature"]
    means = run.profiles()[features.index[0]]
    dose = run.metadata.loc[run.select("compound == 'translocator'"), "dose"].astype(float)
    by_dose = means[dose.index].groupby(dose).mean() * np.sign(features.iloc[0]["effect"])
    assert by_dose.is_monotonic_increasing


def test_responding_and_escaping_cells_are_told_apart(run: Run, tables: dict[str, pd.DataFrame]) -> None:
    feature = int(tables["translocation"][tables["translocation"]["type"] == "feature"].index[0])
    wells = run.select(DEMO_PERTURBED["mixed translocation"])
    cells = demo_truth().cells
    cells = cells[cells["well"].isin(wells)]
    assert 0.3 < cells["responding"].mean() < 0.7
    patch = run.patch
    values = []
    for cell in cells.itertuples():
        heat = run.activation(cell.well, None, feature)
        i, j = (int(np.clip(v // patch, 1, n - 2)) for v, n in zip((cell.y, cell.x), heat.shape, strict=True))
        values.append(heat[i - 1 : i + 2, j - 1 : j + 2].mean())
    ranks = pd.Series(values).rank().to_numpy()
    yes = cells["responding"].to_numpy(bool)
    auroc = (ranks[yes].sum() - yes.sum() * (yes.sum() + 1) / 2) / (yes.sum() * (~yes).sum())
    assert max(auroc, 1 - auroc) > 0.8


@pytest.mark.parametrize("nuisance", ["edge", "column"])
def test_planted_nuisances_are_flagged(run: Run, tables: dict[str, pd.DataFrame], nuisance: str) -> None:
    """The features that follow a planted nuisance most among the controls are called technical, by its name."""
    table = tables["translocation"]
    features = table[table["type"] == "feature"]
    truth = demo_truth().wells.set_index("well") if "well" in demo_truth().wells else demo_truth().wells
    controls = run.select(DEMO_CONTROLS)
    planted = truth.loc[controls, nuisance].astype(float)
    means = run.profiles().loc[controls, list(features.index)]
    link = means.corrwith(planted).abs().sort_values(ascending=False)
    followers = list(link.index[:3])
    assert (features.loc[followers, "technical"] == "yes").all()
    flagged = features[features["technical"] == "yes"]["nuisance"].value_counts()
    assert flagged.get(nuisance, 0) >= 3


@pytest.mark.slow
def test_a_confounded_layout_is_not_estimable(tmp_path: Path) -> None:
    folder = write_demo_plate(tmp_path / "plate", layout="confounded")
    plate = open_plate(folder, folder / "platemap.csv")
    run = run_plate(
        plate, tmp_path / "run", controls=DEMO_CONTROLS, tokens=tmp_path / "tokens", device="cpu", block=1, atoms=64,
        sparsity=(5, 2), steps=150,
    )  # fmt: skip
    table = compare(run, controls=DEMO_CONTROLS, perturbed="control_type != 'negcon'")
    features = table[table["type"] == "feature"]
    assert set(features["technical"]) <= {"not estimable", "yes"}
    assert (features["technical"] == "not estimable").mean() > 0.5
