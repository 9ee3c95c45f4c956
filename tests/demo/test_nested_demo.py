"""A nested dictionary of the demo plate: what is general lies in its coarse atoms, and its tree holds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_phenolens import open_plate, open_run
from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED, demo_run_path, write_demo_plate
from napari_phenolens.demo.layout import conditions
from napari_phenolens.dictionary import Dictionary, consistency, fit_dictionary
from napari_phenolens.run import Run, run_plate

PHENOTYPES = ("translocation", "nuclear size", "actin texture", "cell loss")
MOVED = 3.0  # control standard deviations by which a phenotype's wells must differ


def phenotypes_that_move(run: Run, profiles: pd.DataFrame) -> np.ndarray:
    """For each feature the number of phenotypes whose wells lie apart from the controls."""
    controls = profiles.loc[run.select(DEMO_CONTROLS)]
    z = (profiles - controls.mean()) / controls.std()
    moved = [z.loc[run.select(DEMO_PERTURBED[name])].mean().abs() > MOVED for name in PHENOTYPES]
    return pd.concat(moved, axis=1).sum(axis=1).to_numpy()


def check_general_above_specific(level: np.ndarray, count: np.ndarray) -> None:
    """Coarse atoms follow any perturbation, finer ones a single one; against levels shuffled among atoms."""
    general, moved = count >= 2, count >= 1
    shares = [general[level == lev].mean() for lev in range(3)]
    assert shares[0] > 3 * shares[2] and shares[0] > shares[1] > shares[2]
    seen = general[moved & (level == 0)].mean() - general[moved & (level == 2)].mean()
    rng = np.random.default_rng(0)
    null = []
    for _ in range(999):  # among the atoms that anything moves: the finer are the more specific
        shuffled = rng.permutation(level[moved])
        null.append(general[moved][shuffled == 0].mean() - general[moved][shuffled == 2].mean())
    assert (1 + np.sum(np.array(null) >= seen)) / 1000 < 0.05
    specific = count[(level == 2) & moved]
    assert len(specific) >= 10 and (specific == 1).mean() > 0.7


def check_tree(dictionary: Dictionary, index: np.ndarray, value: np.ndarray, image: np.ndarray) -> None:
    """The finer atoms are active where their parents are, more than tokens or parents shuffled would have it."""
    assert dictionary.levels is not None and dictionary.parents is not None
    tree = consistency(index, value, dictionary.levels, dictionary.parents, image, permutations=39)
    facts = tree.attrs
    assert facts["atoms"] > 150 and facts["excess"] > 10 * abs(facts["null_excess"])
    assert facts["tree_excess"] > 3 * abs(facts["null_tree"])
    assert facts["p_tokens"] == facts["p_tree"] == 1 / 40, "beyond every shuffle"
    assert tree["lift"].median() > 1.1 and facts["tau"] > 0
    assert (tree["inclusion"] > tree["base"]).mean() > 0.8


def test_nested_dictionary_of_the_packaged_run() -> None:
    """On the tokens as the packaged run's codes render them: quick, as nothing is encoded."""
    run = open_run(demo_run_path())
    rows, wells = [], []
    for well in run.wells:
        here = run.foreground(well).ravel()
        index, value = run.codes(well)
        rows.append(run.lens.dictionary.decode(index[here], value[here]))
        wells.append(np.repeat(well, here.sum()))
    x, of = np.concatenate(rows), np.concatenate(wells)
    # every other token is left out of the fit: the tree is told on those
    dictionary = fit_dictionary(x[::2], atoms=256, sparsity=(8, 2), method="nested", steps=100)
    assert dictionary.levels == (16, 64, 256)
    index, value = dictionary.encode(x)
    profiles = {}
    for well in run.wells:
        mine = of == well
        profiles[well] = np.bincount(index[mine].ravel(), value[mine].ravel(), minlength=256) / mine.sum()
    count = phenotypes_that_move(run, pd.DataFrame.from_dict(profiles, orient="index"))
    check_general_above_specific(dictionary.level, count)
    check_tree(dictionary, index[1::2], value[1::2], of[1::2])


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.skipif("PHENOLENS_LONG_TESTS" not in os.environ, reason="takes minutes: set PHENOLENS_LONG_TESTS")
def test_nested_run_of_the_demo_plate(tmp_path: Path) -> None:
    """The whole way, on the encoder's own tokens: the controls and the four full phenotypes, 28 wells."""
    full = {"negative", "translocator 3", "nuclei", "actin", "loss"}
    wanted = [well for well, condition in conditions().items() if condition.name in full]
    assert len(wanted) == 28
    write_demo_plate(tmp_path / "part", wells=wanted)
    part = open_plate(tmp_path / "part", tmp_path / "part" / "platemap.csv")
    run = run_plate(
        part, tmp_path / "run", controls=DEMO_CONTROLS, tokens=tmp_path / "tokens", device="cpu", method="nested",
        atoms=256, sparsity=(10, 2), steps=400,
    )  # fmt: skip
    check_general_above_specific(run.lens.dictionary.level, phenotypes_that_move(run, run.profiles()))
    index, value, image = [], [], []
    for i, well in enumerate(run.wells):
        here = run.foreground(well).ravel()
        codes = run.codes(well)
        index.append(codes[0][here])
        value.append(codes[1][here])
        image.append(np.full(here.sum(), i))
    check_tree(run.lens.dictionary, *map(np.concatenate, (index, value, image)))
