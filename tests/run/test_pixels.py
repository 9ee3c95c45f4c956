from __future__ import annotations

import numpy as np

from napari_phenolens.run.pixels import fit_normalisation, normalise, resample, resample_factor, spread


def fields(scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return [np.stack([rng.gamma(2, 40, (90, 90)), rng.gamma(3, 100, (90, 90))]) * scale for _ in range(3)]


def test_controls_come_out_standardised():
    images = fields()
    numbers = fit_normalisation(images, "plate", None)
    out = np.concatenate([normalise(image, numbers).reshape(2, -1) for image in images], axis=1)
    np.testing.assert_allclose(out.mean(1), 0, atol=0.05)
    np.testing.assert_allclose(out.std(1), 1, atol=0.05)


def test_bit_depth_does_not_matter():
    small, large = fields(), fields(scale=257.0)
    a = normalise(small[0], fit_normalisation(small, "plate", None))
    b = normalise(large[0], fit_normalisation(large, "plate", None))
    np.testing.assert_allclose(a, b, atol=1e-3)


def test_brightness_survives_the_plate_rule_and_dies_under_the_field_rule():
    images = fields()
    plate, field = (fit_normalisation(images, rule, None) for rule in ("plate", "field"))
    dim = images[0] * 0.5
    assert normalise(dim, plate).mean() < normalise(images[0], plate).mean() - 0.3
    np.testing.assert_allclose(normalise(dim, field), normalise(images[0], field), atol=1e-3)


def test_an_input_range_is_kept():
    images = fields()
    out = normalise(images[0], fit_normalisation(images, "plate", (0.0, 255.0)))
    assert out.min() == 0 and out.max() <= 255 and out.mean() > 5


def test_an_even_field_gives_finite_numbers():
    flat = np.full((1, 50, 50), 7, np.uint16)
    assert np.isfinite(normalise(flat, fit_normalisation([flat], "plate", None))).all()


def test_resampling_keeps_values_and_follows_the_pixel_size():
    assert resample_factor(0.65, 0.325) == 0.5
    assert resample_factor(None, 0.3) == resample_factor(0.3, None) == resample_factor(0.5, 0.503) == 1.0
    image = np.full((2, 60, 41), 1000, np.uint16)
    small = resample(image, 0.5)
    assert small.shape == (2, 30, 20)
    np.testing.assert_allclose(small, 1000, rtol=1e-5)
    assert resample(image, 1.0) is image


def test_spread_is_even_and_fixed():
    assert spread(list(range(100)), 4) == [0, 33, 66, 99]
    assert spread([1, 2], 5) == [1, 2]
