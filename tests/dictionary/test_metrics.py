"""What a dictionary is worth: each measure against planted truth, and against its null where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from napari_phenolens.dictionary import (
    consistency,
    density,
    match_activations,
    match_atoms,
    monosemanticity,
    probe,
    seed_stability,
    selectivity,
    shares_of_use,
    usage_histogram,
)


def unit(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def test_density_and_its_histogram() -> None:
    index = np.array([[0, 1], [0, 0], [3, 0], [0, 1]])
    value = np.array([[0.5, -0.1], [0.2, 0.0], [0.3, 0.0], [0.0, 0.2]])
    shares = density(index, value, 5)
    assert shares.tolist() == [0.5, 0.5, 0.0, 0.25, 0.0], "negative values count, unused slots do not"
    table = usage_histogram(shares)
    assert table["atoms"].sum() == 5 and table["atoms"].iloc[0] == 2
    assert table["high"].iloc[-1] == 1.0 and (table["low"].iloc[2:] == table["high"].iloc[1:-1].to_numpy()).all()
    inside = table[(table["low"] <= 0.25) & (table["high"] > 0.25)]
    assert inside["atoms"].item() == 1
    assert shares_of_use([0.0, 5e-6, 0.05, 0.2]) == {"dead": 0.25, "rare": 0.5, "dense": 0.25}
    with pytest.raises(ValueError, match="n = 0"):
        density(index[:0], value[:0], 5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        usage_histogram([1.5])


def test_matching_undoes_a_permutation() -> None:
    rng = np.random.default_rng(0)
    atoms = unit(rng.normal(size=(40, 20)))
    order = rng.permutation(40)
    found = match_atoms(atoms, atoms[order])
    assert (order[found.second] == found.first).all() and found.summary()["matched"] == pytest.approx(1.0)
    flipped = match_atoms(atoms, -atoms[order])
    assert flipped.summary()["matched"] < 0.7
    assert match_atoms(atoms, -atoms[order], absolute=True).summary()["matched"] == pytest.approx(1.0)
    chance = match_atoms(atoms, unit(rng.normal(size=(60, 20)))).summary()
    assert chance["matched"] < 0.7 and chance["matched_above_0.9"] == 0 and chance["best"] >= chance["matched"] - 0.05
    # two atoms of one side, one of the other: a feature is used once
    assert len(match_atoms(atoms[[0, 0]], atoms[:1]).first) == 1
    with pytest.raises(ValueError, match="same whitened tokens"):
        match_atoms(atoms, atoms[:, :5])


def test_features_are_matched_by_what_they_do() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(50, 12))
    order = rng.permutation(12)
    b = np.concatenate([3 * a[:, order] + 0.1 * rng.normal(size=(50, 12)), np.full((50, 1), 2.0)], axis=1)
    found = match_activations(a, b)
    assert (order[found.second] == found.first).all() and found.similarity.min() > 0.98
    assert found.best_second[12] == 0.0, "a feature that does not vary goes with none"
    with pytest.raises(ValueError, match="same three rows"):
        match_activations(a, b[:10])


def test_stability_over_seeds() -> None:
    rng = np.random.default_rng(2)
    atoms = unit(rng.normal(size=(30, 16)))
    others = []
    for _ in range(3):
        other = atoms.copy()
        other[20:] = unit(rng.normal(size=(10, 16)))  # ten atoms come out anew each time
        others.append(unit(other + 0.01 * rng.normal(size=other.shape))[rng.permutation(30)].astype(np.float32))
    table = seed_stability([others[0], *others[1:]])
    stable = (others[0] @ atoms[:20].T).max(axis=1) > 0.95
    assert stable.sum() == 20
    assert table["matched"][stable].min() > 0.99 and table["matched"][~stable].max() < 0.9
    assert (table["lowest"] <= table["matched"] + 1e-12).all() and (table["best"] >= table["matched"] - 1e-6).all()
    with pytest.raises(ValueError, match="two seeds"):
        seed_stability(others[:1])


def test_selectivity_by_hand_and_against_its_null() -> None:
    rng = np.random.default_rng(3)
    plates = np.repeat([0, 1], 24)
    labels = np.tile(np.repeat(["a", "b", "c"], 8), 2)
    rates = np.clip(0.3 + 0.05 * rng.normal(size=(48, 60)), 0, 1)
    rates[labels == "b", 4] += 0.5
    rates[labels != "c", 7] += 0.4  # two labels share it: selective for neither
    rates[plates == 1, 9] += 0.5  # the plate, not a label
    table = selectivity(rates, labels, plates, permutations=200)
    inside, rest = rates[labels == "b", 4].mean(), rates[labels != "b", 4].mean()
    assert table["average"][4] == pytest.approx(inside - rest) and table["label"][4] == "b"
    second = max(rates[labels == name, 4].mean() for name in "ac")
    assert table["maximal"][4] == pytest.approx(inside - second)
    assert table["average"][7] > 0.15 > table["maximal"][7]
    assert table["p_average"][4] == table.attrs["p_floor"] == 1 / 201
    assert table["p_maximal"][7] > 0.05
    assert table["p_average"][9] > 0.05, "shuffling within plates keeps the plate's effect in the null"
    others = np.setdiff1d(np.arange(60), [4, 7, 9])
    assert 0.3 < table["p_average"][others].mean() < 0.7
    assert table["average"][4] > table.attrs["null_average"] > table["average"][others].median()
    assert table.attrs["above_0.2"] >= 1 and table.attrs["labels"] == ["a", "b", "c"]
    assert table.attrs["above_null_maximal"] >= 1
    for arguments, words in [
        ((rates, labels[:5]), "shape"),
        ((rates, np.full(48, "a")), "two labels"),
        ((np.where(rates > 0.9, np.nan, np.nan), labels), "finite"),
        ((rates, labels, plates[:3]), "plates"),
    ]:
        with pytest.raises(ValueError, match=words):
            selectivity(*arguments)


def test_monosemanticity_equals_the_sum_over_pairs() -> None:
    rng = np.random.default_rng(4)
    kinds = rng.integers(0, 3, 60)
    e = np.eye(8)[kinds] + 0.2 * rng.normal(size=(60, 8))
    a = rng.random((60, 4))
    a[:, 0] = (kinds == 1) * rng.uniform(0.5, 1, 60)  # one kind of image
    a[:, 1] = 3.0  # never varies
    table = monosemanticity(a, e, permutations=99)
    centred = unit(e - e.mean(axis=0))
    scaled = (a[:, 2] - a[:, 2].min()) / np.ptp(a[:, 2])
    weights = np.triu(np.outer(scaled, scaled), 1)
    want = (weights * (centred @ centred.T)).sum() / weights.sum()
    assert table["score"][2] == pytest.approx(want)
    assert table["score"][0] > 0.6 and table["p"][0] == 0.01 and table["z"][0] > 5
    assert np.isnan(table["score"][1]) and np.isnan(table["p"][1])
    assert table["p"][3] > 0.02 and abs(table["score"][3]) < 0.2 and table.attrs["images"] == 60
    with pytest.raises(ValueError, match="three rows"):
        monosemanticity(a[:2], e[:2])


def test_probes_tell_what_codes_keep() -> None:
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1, 2], 30)
    groups = np.tile(np.arange(3), 30)
    tokens = rng.normal(size=(90, 10))
    tokens[:, 0] += 4 * (labels == 1)
    tokens[:, 1] += 4 * (labels == 2)
    codes = rng.normal(size=(90, 30))
    codes[:, 17] = tokens[:, 0]
    lossy = tokens.copy()
    lossy[:, 1] = rng.normal(size=90)  # the reconstruction has lost one of the two
    table = probe(tokens, codes, lossy, labels, groups).set_index(["on", "features"])
    assert table.attrs == {"chance": 1 / 3, "folds": 3, "by": "group", "rows": 90, "labels": 3}
    whole = table.loc[("tokens", 10)]
    assert whole["accuracy"] > 0.9 and whole["kept"] == pytest.approx(1.0)
    part = table.loc[("reconstructions", 10)]
    assert 0.5 < part["accuracy"] < 0.8 and part["kept"] < 0.75
    one = table.loc[("best features", 1)]
    assert 0.55 < one["accuracy"] < 0.8, "one feature tells one label from the two others"
    assert ("principal components", 5) in table.index
    nothing = probe(tokens, codes, lossy, rng.permutation(labels), groups)
    assert nothing["accuracy"].iloc[0] < 0.55
    alone = probe(tokens, codes, lossy, labels, labels)  # every label in a group of its own
    assert alone.attrs["by"] == "row" and alone.attrs["folds"] == 5
    for arguments, words in [
        ((tokens, codes[:4], lossy, labels), "codes"),
        ((tokens, codes, lossy, np.zeros(90)), "two labels"),
        ((tokens * np.nan, codes, lossy, labels), "finite"),
    ]:
        with pytest.raises(ValueError, match=words):
            probe(*arguments)


def tree(n: int, seed: int, linked: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Codes of 4 coarse and 12 fine atoms in images of which some lack a coarse atom altogether."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 20, n)
    truth = np.concatenate([np.full(4, -1), np.arange(12) % 4])
    active = np.zeros((n, 16), bool)
    here = rng.random((20, 4)) < 0.6
    active[:, :4] = (rng.random((n, 4)) < 0.4) & here[images]
    with_parent = active[:, truth[4:]] if linked else here[images][:, truth[4:]] & (rng.random((n, 12)) < 0.4)
    active[:, 4:] = (rng.random((n, 12)) < 0.3) & with_parent
    index = np.argsort(~active, axis=1, kind="stable")
    value = np.take_along_axis(active, index, 1) * rng.uniform(0.1, 1, (n, 16))
    return np.where(value > 0, index, 0), value, truth, images


def test_consistency_of_a_planted_tree_and_of_none() -> None:
    index, value, truth, images = tree(4000, 0, linked=True)
    table = consistency(index, value, (4, 16), truth, images)
    assert (table["containment"] == 1.0).all() and (table["inclusion"] == 1.0).all() and table.index.min() == 4
    assert table["lift"].min() > 2 and (table["expected"] < 0.7).all()
    z = np.zeros((4000, 16))
    np.put_along_axis(z, index, value, 1)
    by_hand = np.mean([(z[images == i][:, 2] > 0).mean() for i in images[z[:, 6] > 0]])
    assert table["expected"][6] == pytest.approx(by_hand)
    facts = table.attrs
    assert facts["p_tokens"] == facts["p_tree"] == 1 / 101 and facts["excess"] > facts["null_excess"]
    assert facts["tau"] > 0.5 and facts["orphans"] == 0 and facts["atoms"] == 12
    # where child and parent merely lie in the same images, shuffling within images tells
    index, value, truth, images = tree(4000, 1, linked=False)
    loose = consistency(index, value, (4, 16), truth, images).attrs
    assert loose["p_tokens"] > 0.02 and abs(loose["excess"]) < 0.03
    assert loose["p_tree"] < 0.05, "and swapping parents alone would not"
    silent = consistency(index, np.zeros_like(value), (4, 16), truth)
    assert len(silent) == 0 and np.isnan(silent.attrs["excess"])
