"""The card of a cell: its features against the control cells, what it lacks, its likes, how far it is explained."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_phenolens.analysis import AnalysisError, cell_card, cell_reference
from napari_phenolens.errors import PhenoLensError

WELLS = [f"{row}{column:02d}" for row in "AB" for column in range(1, 7)]  # A: control, B: perturbed
PER_WELL, FEATURES, PATCH, GRID = 9, 12, 8, 6


class CellsRun:
    """Twelve wells of nine square cells of two by two patches; perturbed cells have feature 3 and lack feature 5."""

    unit, plate_name, n_features, patch = "patch", "P1", FEATURES, PATCH

    def __init__(self, has_tokens: bool = True) -> None:
        rng = np.random.default_rng(0)
        self.has_tokens = has_tokens
        self.wells, self.controls = WELLS, WELLS[:6]
        atoms = np.linalg.qr(rng.normal(size=(16, FEATURES)))[0].T
        self.lens = SimpleNamespace(dictionary=SimpleNamespace(atoms=atoms.astype(np.float32)))
        self.annotations = SimpleNamespace(names=lambda: pd.Series([""] * 3 + ["gone"] + [""] * 8))
        self.values = np.zeros((len(WELLS), PER_WELL, FEATURES), np.float32)
        self.values[:, :, :3] = rng.uniform(0.1, 0.5, size=(len(WELLS), PER_WELL, 3))
        self.values[:6, :, 5] = rng.uniform(0.2, 0.4, size=(6, PER_WELL))
        self.values[6:, :, 3] = rng.uniform(0.5, 0.9, size=(6, PER_WELL))
        self.left = np.linalg.qr(np.vstack([atoms, rng.normal(size=(1, 16))]).T)[0].T[-1]  # what no atom says
        self.labels = np.kron(np.arange(1, PER_WELL + 1).reshape(3, 3), np.ones((2 * PATCH, 2 * PATCH))).astype(
            np.int32
        )

    def cells(self) -> pd.DataFrame:
        edge = 2 * PATCH
        rows = []
        for well in WELLS:
            for label in range(1, PER_WELL + 1):
                i, j = divmod(label - 1, 3)
                box = (i * edge, j * edge, (i + 1) * edge, (j + 1) * edge)
                middle = ((i + 0.5) * edge - 0.5, (j + 0.5) * edge - 0.5)
                rows.append((well, "1", label, *middle, *box, edge**2, label != 5))
        names = ["well", "field", "label", "y", "x", "y0", "x0", "y1", "x1", "area", "border"]
        return pd.DataFrame(rows, columns=names, index=pd.RangeIndex(len(rows), name="cell"))

    def cell_codes(self) -> Any:
        from scipy.sparse import csr_matrix

        return csr_matrix(self.values.reshape(-1, FEATURES))

    def cell_labels(self, well: str, field: Any = None) -> np.ndarray:
        return self.labels

    def select(self, query: Any) -> list[str]:
        return [well for well in WELLS if well in query]

    def field_row(self, well: str, field: Any = None) -> pd.Series:
        return pd.Series({"field": "1", "h": GRID, "w": GRID, "y": 48, "x": 48, "scale": float(PATCH)})

    def foreground(self, well: str, field: Any = None) -> np.ndarray:
        return np.ones((GRID, GRID), bool)

    def tokens(self, well: str, field: Any = None) -> np.ndarray:
        if not self.has_tokens:
            raise PhenoLensError("the plate's files are gone")
        told = self.values[WELLS.index(well)] @ self.lens.dictionary.atoms
        size = np.linalg.norm(told, axis=1, keepdims=True)
        whole = 3.0 * (0.8 * told / size + 0.6 * self.left)  # 0.8 of every token is said by its features
        return np.kron(whole.reshape(3, 3, -1), np.ones((2, 2, 1))).astype(np.float32)

    def patch_tokens(self, well: str, field: Any, patches: np.ndarray, cancel: Any = None) -> np.ndarray:
        whole = self.tokens(well, field)
        return whole.reshape(-1, whole.shape[-1])[patches]


@pytest.fixture(scope="module")
def reference() -> Any:
    return cell_reference(CellsRun(), perturbed=WELLS[6:])


def cell_of(well: str, label: int) -> int:
    return WELLS.index(well) * PER_WELL + label - 1


def test_percentile_and_z_are_those_of_the_control_cells(reference: Any) -> None:
    from scipy.stats import percentileofscore

    run = reference.run
    controls = run.values[:6].reshape(-1, FEATURES).astype(np.float64)
    card = cell_card(reference, cell_of("B02", 4))
    mine = run.values[WELLS.index("B02"), 3].astype(np.float64)
    assert set(card.features.index) == {0, 1, 2, 3}
    for feature, row in card.features.iterrows():
        column = controls[:, feature]
        assert row["value"] == pytest.approx(mine[feature])
        assert row["percentile"] == pytest.approx(percentileofscore(column, mine[feature], kind="mean"))
        expected = (mine[feature] - column.mean()) / column.std() if column.std() else np.nan
        assert row["z"] == pytest.approx(expected, rel=1e-5, nan_ok=True)
    assert card.features.loc[3, "name"] == "gone"
    assert card.features["share"].sum() == pytest.approx(1.0)
    assert card.features["share"].is_monotonic_decreasing


def test_percentiles_count_cells_without_the_feature(reference: Any) -> None:
    features = np.array([5, 3, 3, 3])
    assert reference.percentile(features, np.array([0.0, 0.0, 0.4, -0.1])).tolist() == [0.0, 50.0, 100.0, 0.0]


def test_what_control_cells_have_and_a_perturbed_one_lacks(reference: Any) -> None:
    lacks = cell_card(reference, cell_of("B05", 5)).missing
    assert 5 in lacks.index
    assert lacks.loc[5, "value"] == 0
    assert lacks.loc[5, "usual"] == pytest.approx(reference.run.values[:6, :, 5].mean(), rel=1e-5)
    assert 5 not in cell_card(reference, cell_of("A05", 5)).missing.index


def test_how_much_of_the_embedding_is_explained(reference: Any) -> None:
    card = cell_card(reference, cell_of("B03", 5))
    assert card.explained == pytest.approx(0.8, abs=1e-5)
    assert card.explained_listed == pytest.approx(0.8, abs=1e-5)  # all four are listed
    assert cell_card(reference, cell_of("B03", 5), listed=1).explained_listed < 0.79
    atoms = reference.run.lens.dictionary.atoms
    token = reference.run.tokens("B03")[2, 2]
    np.testing.assert_allclose(card.features["alignment"], atoms[card.features.index] @ token, rtol=1e-5)


def test_without_tokens_the_rest_of_the_card_stands() -> None:
    reference = cell_reference(CellsRun(has_tokens=False), perturbed=WELLS[6:])
    card = cell_card(reference, 3)
    assert np.isnan(card.explained)
    assert card.features["alignment"].isna().all()
    assert any("the plate's files are gone" in note for note in card.notes)
    assert len(card.features)
    assert not any("gone" in note for note in cell_card(reference, 3, tokens=False).notes)


def test_nearest_cells_are_the_nearest(reference: Any) -> None:
    cell = cell_of("B02", 4)
    codes = reference.run.values.reshape(-1, FEATURES).astype(np.float64)
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    cosine = unit @ unit[cell]
    for side, wells in (("control", WELLS[:6]), ("perturbed", WELLS[6:])):
        found = reference.nearest(cell, side, count=5, per_well=PER_WELL)
        rows = [r for w in wells for r in range(cell_of(w, 1), cell_of(w, 1) + PER_WELL) if r != cell]
        expected = sorted(rows, key=lambda r: -cosine[r])[:5]
        assert list(found.index) == expected
        np.testing.assert_allclose(found["similarity"], cosine[expected], rtol=1e-5)
    spread = reference.nearest(cell, "perturbed", count=6, per_well=1)
    assert len(set(spread["well"])) == len(spread) == 6


def test_words(reference: Any) -> None:
    card = cell_card(reference, cell_of("B01", 1))
    text = card.text()
    assert text.startswith("B01, field 1, cell 1 (y 8, x 8), cut by the field's edge")
    assert "F3 gone: share" in text
    assert "choose perturbed wells" in card.verdict()  # nothing was given that tells the sides apart
    assert card.to_dict()["features"][0]["feature"] == card.features.index[0]


def test_what_it_looks_like_is_told_by_models_that_never_saw_its_well() -> None:
    from napari_phenolens.analysis.looks import looks

    run = CellsRun()
    told = looks(run, WELLS[:6], WELLS[6:], draws=20)
    reference = cell_reference(run, WELLS[:6], WELLS[6:], looks=told)
    card, other = cell_card(reference, cell_of("B02", 5)), cell_card(reference, cell_of("A02", 5))
    assert card.probability == told.cells.loc[card.cell, "probability"] > 0.5 > other.probability
    assert "looks perturbed" in card.verdict()
    assert "looks like control" in other.verdict()
    assert card.features["contribution"].idxmax() == 3
    expected = told.contributions(run, card.cell).reindex(card.features.index).fillna(0)
    np.testing.assert_allclose(card.features["contribution"], expected)


def test_errors_say_what_to_do(reference: Any) -> None:
    with pytest.raises(AnalysisError, match="cells 0 to 107"):
        cell_card(reference, 108)
    with pytest.raises(AnalysisError, match="both control and perturbed"):
        cell_reference(CellsRun(), WELLS[:6], WELLS[5:])
