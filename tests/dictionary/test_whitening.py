"""Whitening with control tokens."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_phenolens.dictionary import Whitening


def correlated(n: int, d: int = 24, mean: float = 100.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mix = np.linalg.qr(rng.normal(size=(d, d)))[0] * np.geomspace(1.0, 0.02, d)
    return rng.normal(size=(n, d)) @ mix.T + mean


def chunks(x: np.ndarray, size: int = 777):
    return (x[i : i + size] for i in range(0, len(x), size))


def test_controls_become_a_unit_ball() -> None:
    x = correlated(20_000)
    for kind in ("pca", "tvn"):
        white = Whitening.fit(chunks(x), kind, floor=0.0)
        y = white(x)
        assert y.dtype == np.float32 and y.shape == (20_000, 24) and white.n == 20_000 and white.p == 24
        np.testing.assert_allclose(y.mean(axis=0), 0.0, atol=1e-4)
        np.testing.assert_allclose(np.cov(y.T), np.eye(24), atol=1e-4)
        np.testing.assert_allclose(white.inverse(y), x, atol=2e-5)


def test_stream_equals_the_whole_and_keeps_digits_far_from_zero() -> None:
    x = np.random.default_rng(1).normal(size=(50_000, 12))
    far = Whitening.fit(chunks((x + 1e6), 333), "pca", floor=0.0)
    near = Whitening.fit([x], "pca", floor=0.0)
    np.testing.assert_allclose(far.eigenvalues, near.eigenvalues, rtol=1e-7)
    np.testing.assert_allclose(far.eigenvalues, np.linalg.eigvalsh(np.cov(x.T))[::-1], rtol=1e-7)
    tokens = (x + 100).astype(np.float32)
    y = Whitening.fit(chunks(tokens), "pca", floor=0.0)(tokens)
    np.testing.assert_allclose(np.cov(y.T), np.eye(12), atol=1e-4)


def test_one_pass_over_an_iterator_and_one_token_chunks() -> None:
    x = correlated(400, d=6)
    one = Whitening.fit(iter(list(chunks(x, 1))))
    two = Whitening.fit([x[:0], x])
    np.testing.assert_allclose(one.matrix, two.matrix, rtol=1e-6)
    np.testing.assert_allclose(one.mean, two.mean, rtol=1e-12)


def test_position_effect_disappears() -> None:
    rng = np.random.default_rng(2)
    n, d, g = 30_000, 24, 64
    place = rng.integers(0, g, n)
    effect = rng.normal(size=(g, d)) * 0.5
    x = correlated(n) + effect[place]
    parts = [(x[i : i + 999], place[i : i + 999]) for i in range(0, n, 999)]

    def explained(y: np.ndarray) -> np.ndarray:
        means = np.array([y[place == q].mean(axis=0) for q in range(g)])
        return np.asarray((means[place] - y.mean(axis=0)).var(axis=0) / y.var(axis=0))

    plain = Whitening.fit(chunks(x), floor=0.0)
    white = Whitening.fit(parts, floor=0.0, n_groups=g)
    assert np.median(explained(plain(x))) > 0.1
    y = white(x, place)
    assert np.median(explained(y)) < 1e-3
    np.testing.assert_allclose(np.cov(y.T), np.eye(d), atol=1e-3)
    assert white.group_offset is not None and white.group_offset.shape == (g, d)
    np.testing.assert_allclose(white.group_offset, effect - effect.mean(axis=0), atol=0.25)
    # the caller may take the offsets off itself
    np.testing.assert_allclose(white(x - white.group_offset[place]), y, atol=1e-3)


def test_offsets_are_shrunk_where_there_is_nothing_and_zero_for_small_groups() -> None:
    rng = np.random.default_rng(3)
    x, place = rng.normal(size=(4000, 10)), rng.integers(0, 40, 4000)
    place[:8] = 40  # a group of eight
    place[8:500] = -1
    x[:8] += 50.0
    white = Whitening.fit([(x, place)], n_groups=42)
    assert white.group_offset is not None and white.group_counts is not None
    assert not white.group_offset[40:].any(), "too few tokens, or none"
    assert white.group_counts[40:].tolist() == [8, 0]
    raw = np.array([x[place == q].mean(axis=0) for q in range(40)])
    assert (white.group_offset[:40] ** 2).mean() < 0.3 * (raw**2).mean(), "noise alone: shrunk"


def test_floor_truncation_and_warning() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 40))
    with pytest.warns(UserWarning, match="only 60 control tokens for 40 dimensions; 200"):
        white = Whitening.fit([x])
    assert white.p == 12 and "60 control tokens" in white.meta()["warnings"][0]
    assert white.floor_value == pytest.approx(1e-3 * np.linalg.eigvalsh(np.cov(x.T)).mean(), rel=1e-6)
    assert np.allclose(
        white(x).var(axis=0, ddof=1), white.eigenvalues / (white.eigenvalues + white.floor_value), atol=1e-3
    )
    flat = correlated(2000, d=8)
    flat[:, 3] = 5.0  # a dimension that never varies
    for kind in ("pca", "tvn"):
        white = Whitening.fit([flat], kind)
        assert white.p == 7 and np.isfinite(white(flat)).all() and white.warnings == ()
        assert Whitening.fit([flat], kind, keep=3).p == 3
    np.testing.assert_allclose(white.inverse(white(flat))[:, 3], 5.0, atol=1e-4)


def test_the_floor_can_be_chosen_from_the_number_of_tokens() -> None:
    from sklearn.covariance import OAS

    rng = np.random.default_rng(8)
    for n in (30, 200, 5000):
        x = rng.normal(size=(n, 20)) * np.geomspace(3, 0.1, 20)
        white = Whitening.fit([x], floor="oas", keep=20)
        scatter = OAS().fit(x)
        # scikit-learn divides by n, and draws to the mean eigenvalue with the same share up to 1 / n
        share = white.floor_value / (white.floor_value + white.eigenvalues.mean())
        assert share == pytest.approx(scatter.shrinkage_, rel=0.1 if n < 100 else 0.02)
        assert Whitening.from_arrays(white.to_arrays(), json.loads(json.dumps(white.meta()))).floor == "oas"
    noisy, floored = Whitening.fit([x[:30]], keep=20), Whitening.fit([x[:30]], floor="oas", keep=20)
    assert np.abs(np.cov(floored(x).T) - np.eye(20)).max() < np.abs(np.cov(noisy(x).T) - np.eye(20)).max()


@pytest.mark.parametrize("kind", ["pca", "tvn"])
def test_a_plate_is_aligned_by_its_own_controls(kind: str) -> None:
    x = correlated(8000, d=10)
    rng = np.random.default_rng(9)
    turn = np.eye(10) + 0.4 * rng.normal(size=(10, 10))
    plate = (x - 100) @ turn + 103.0  # another plate: shifted, and stretched along other axes
    white = Whitening.fit([x], kind, floor=0.0)
    aligned = white.align(chunks(plate), ridge=1e-6)
    y = aligned(plate)
    np.testing.assert_allclose(y.mean(axis=0), 0.0, atol=2e-3)
    np.testing.assert_allclose(np.cov(y.T), np.eye(10), atol=5e-3)
    np.testing.assert_allclose(aligned.inverse(y), plate, atol=1e-2)
    assert aligned.aligned_to == 8000 and aligned.p == white.p
    gentle = white.align([plate])
    spread = [np.linalg.eigvalsh(np.cov(w(plate).T)) for w in (white, gentle, aligned)]
    assert spread[0].max() > spread[1].max() > spread[2].max(), "the ridge holds back"
    np.testing.assert_allclose(white.align([x])(x), white(x), atol=1e-3, err_msg="a plate like the others stays")
    back = Whitening.from_arrays(aligned.to_arrays(), json.loads(json.dumps(aligned.meta())))
    np.testing.assert_array_equal(back(plate), y)
    with pytest.warns(UserWarning, match="aligned by 20 control tokens"):
        white.align([plate[:20]])
    for arguments, words in [(([plate[:1]],), "two at least"), (([plate[:, :4]],), r"\(n, 10\)")]:
        with pytest.raises(ValueError, match=words):
            white.align(*arguments)
    with pytest.raises(ValueError, match="ridge"):
        white.align([plate], ridge=0.0)


def test_alignment_takes_places_off_first() -> None:
    rng = np.random.default_rng(10)
    place = rng.integers(0, 4, 4000)
    effect = np.array([[2.0], [-2.0], [1.0], [-1.0]])
    x = correlated(4000, d=6) + effect[place]
    white = Whitening.fit([(x, place)], n_groups=4)
    aligned = white.align([(x, place)])
    assert aligned.group_offset is not None
    np.testing.assert_allclose(aligned(x, place).mean(axis=0), 0.0, atol=1e-3)


def test_diagnosis_shows_the_whole_spectrum() -> None:
    x = correlated(3000, d=12)
    white = Whitening.fit([x], floor=0.01, keep=5)
    table = white.diagnosis()
    np.testing.assert_allclose(table["eigenvalue"], np.linalg.eigvalsh(np.cov(x.T))[::-1], rtol=1e-5)
    assert table["kept"].tolist() == [True] * 5 + [False] * 7
    assert table["cumulative"].iloc[-1] == pytest.approx(1.0) and table["share"].is_monotonic_decreasing
    np.testing.assert_allclose(table["whitened"][:5], white(x).var(axis=0, ddof=1), atol=1e-4)
    assert table["whitened"][5:].isna().all() and table["noise_gain"].iloc[0] == 1.0
    assert table.attrs["n"] == 3000 and table.attrs["p"] == 5 and table.attrs["floor_value"] == white.floor_value
    back = Whitening.from_arrays(white.to_arrays(), json.loads(json.dumps(white.meta())))
    assert back.diagnosis().equals(table)
    arrays = {k: v for k, v in white.to_arrays().items() if k != "spectrum"}
    old = Whitening.from_arrays(arrays, white.meta()).diagnosis()
    assert len(old) == 5 and not old.attrs["whole_spectrum"], "files of before it was kept"
    assert Whitening.fit([x], tokens_a_component=1000).p == 3
    with pytest.raises(ValueError, match="spectrum"):
        Whitening.fit([x], "center").diagnosis()


def test_signs_do_not_depend_on_the_order_of_chunks() -> None:
    x = correlated(3000)
    parts = list(chunks(x, 500))
    one, two = Whitening.fit(parts), Whitening.fit(parts[::-1])
    np.testing.assert_allclose(one.matrix, two.matrix, rtol=1e-5, atol=1e-8)
    top = np.abs(one.matrix).argmax(axis=0)
    assert (one.matrix[top, np.arange(one.p)] > 0).all()


def test_none_and_center() -> None:
    x = correlated(500, d=5).astype(np.float32)
    none, center = Whitening.fit([x], "none"), Whitening.fit([x], "center")
    np.testing.assert_array_equal(none(x), x)
    np.testing.assert_allclose(center(x), x - x.mean(axis=0, dtype=np.float64), atol=1e-4)
    assert center.p == 5


def test_whitening_is_affine_so_means_commute() -> None:
    x = correlated(1000)
    white = Whitening.fit([x])
    np.testing.assert_allclose(white(x).mean(axis=0, dtype=np.float64), white(x.mean(axis=0)[None])[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["none", "center", "pca", "tvn"])
def test_saves_and_comes_back(kind: str) -> None:
    rng = np.random.default_rng(5)
    x, place = correlated(800, d=9), rng.integers(-1, 4, 800)
    white = Whitening.fit([(x, place)], kind, n_groups=4)
    back = Whitening.from_arrays(white.to_arrays(), json.loads(json.dumps(white.meta())))
    np.testing.assert_array_equal(back(x, place), white(x, place))
    np.testing.assert_array_equal(back.inverse(back(x)), white.inverse(white(x)))
    assert back.meta() == white.meta()


def test_errors_are_clear() -> None:
    x = correlated(100, d=4)
    nan = x.copy()
    nan[3, 1] = np.nan
    for make, words in [
        (lambda: Whitening.fit([]), "0 control tokens"),
        (lambda: Whitening.fit([x[:1]]), "1 control tokens"),
        (lambda: Whitening.fit([x, x[:, :3]]), "3 dimensions"),
        (lambda: Whitening.fit([nan]), "not finite"),
        (lambda: Whitening.fit([x], "zca"), "unknown"),
        (lambda: Whitening.fit([x], floor=-1.0), "floor"),
        (lambda: Whitening.fit([x], floor="ledoit"), "floor"),
        (lambda: Whitening.fit([x], tokens_a_component=0), "tokens_a_component"),
        (lambda: Whitening.fit([np.ones((50, 3))]), "all the same"),
        (lambda: Whitening.fit([x[0]]), "shape"),
        (lambda: Whitening.fit([(x, np.zeros(3, int))]), "groups"),
        (lambda: Whitening.fit([(x, np.full(100, 7))], n_groups=4), "between -1"),
        (lambda: Whitening.fit([x])(x[:, :2]), r"\(n, 4\)"),
        (lambda: Whitening.fit([x])(nan), "token 3"),
        (lambda: Whitening.fit([x])(x, np.zeros(100, int)), "without groups"),
        (lambda: Whitening.from_arrays({}, {}), "lacks"),
    ]:
        with pytest.raises(ValueError, match=words):
            make()
