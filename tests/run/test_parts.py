"""Parts of fields: on a big plate the fit and the first pass encode a few tiles of a field, once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from miniplate import NEGATIVE, SETTINGS

from napari_phenolens.cells.grid import patch_grid
from napari_phenolens.plate import open_plate
from napari_phenolens.run import apply, apply_lens, open_run, parts, run_plate
from napari_phenolens.run.geometry import plan_tiles
from napari_phenolens.run.source import TokenSource

NAMES = ("codes/index", "codes/value", "patches/foreground", "fields/sum", "wells/cell_sum")


@pytest.fixture
def big(monkeypatch):
    """Take every plate for a big one, on a slow machine."""
    monkeypatch.setattr(parts, "BIG_TOKENS", 0)
    monkeypatch.setattr(parts, "PART_PATCHES", 288)
    monkeypatch.setattr(apply, "FIRST_PASS_SECONDS", 1e-3)


@pytest.mark.filterwarnings("ignore:only .* control tokens:UserWarning")
def test_a_big_plate_is_looked_at_in_parts_first_and_ends_the_same(plate_folder, tmp_path, monkeypatch, big):
    plate = open_plate(plate_folder, plate_folder / "platemap.csv")
    encoded: Counter[tuple[str, int]] = Counter()
    true = TokenSource.encode

    def encode(self, places, images, needed, *, parts=None, **options):
        encoded.update(p for p, n, part in zip(places, needed, parts or [None], strict=True) if n and part is not None)
        return true(self, places, images, needed, parts=parts, **options)

    monkeypatch.setattr(TokenSource, "encode", encode)
    stages, seen = [], []

    def progress(report):
        stages.append((report.stage, report.done == report.total))

    def look():
        if ("first pass", True) in stages and not seen:
            run = open_run(tmp_path / "run")
            seen.append((run, run.foreground("B02", 0), run.codes("B02", 0), run.profiles(), run.covariates()))
        return False

    done = run_plate(
        plate, tmp_path / "run", controls=NEGATIVE, tokens=tmp_path / "tokens", progress=progress, cancel=look,
        **SETTINGS,
    )  # fmt: skip
    assert done.complete and done.plan.extra == {"first_tiles": 2} and done.plan.first_pass == 1
    assert set(encoded.values()) == {1}  # what the fit has seen is not encoded again for the first pass

    run, foreground, (index, value), profiles, covariates = seen[0]
    assert run.provisional and len(run.wells) >= len(plate.wells) - 1  # the last is written after its report
    whole = done.foreground("B02", 0)
    assert 0 < foreground.sum() < whole.sum() and not (foreground & ~whole).any()
    full_index, full_value = done.codes("B02", 0)
    there = foreground.ravel()
    np.testing.assert_array_equal(index[there], full_index[there])
    np.testing.assert_array_equal(value[there], full_value[there])
    assert not value[~there].any()
    assert np.isfinite(profiles.to_numpy()).all()
    assert covariates.loc["B02", "foreground_share"] == pytest.approx(whole.mean())  # of the whole field

    monkeypatch.setattr(parts, "BIG_TOKENS", 10**12)
    plain = apply_lens(done.lens, plate, tmp_path / "plain", tokens=tmp_path / "tokens")
    assert plain.plan.first_pass in (0, 1) and "first_tiles" not in plain.plan.extra
    for name in NAMES:
        np.testing.assert_array_equal(done._arrays[name][:], plain._arrays[name][:])


@pytest.mark.parametrize("unit", ["patch", "crop"])
def test_a_part_has_whole_patches_that_show_cells(unit):
    plan = plan_tiles((1080, 1000), 8, 128, 2)
    rng = np.random.default_rng(0)
    foreground = np.zeros(patch_grid((1080, 1000), 8), bool)
    foreground[:60] = rng.random((60, foreground.shape[1])) < 0.3
    part = parts.draw_part(plan, foreground, 12, (1, 2, 3), unit)
    again = parts.draw_part(plan, foreground, 12, (1, 2, 3), unit)
    np.testing.assert_array_equal(part.tiles, again.tiles)
    assert part.patches.shape == foreground.shape
    assert part.tiles.sum() <= (12 if unit == "patch" else 12 * 4)
    assert part.patches.sum() == pytest.approx(12 * 144, rel=0.25)
    assert not part.patches[80:].any()  # no tile without cells
    if unit == "crop":
        for r in range(0, 128, 16):
            for c in range(0, 112, 16):
                assert part.patches[r : r + 16, c : c + 16].all() or not part.patches[r : r + 16, c : c + 16].any()
    nothing = parts.draw_part(plan, np.zeros_like(foreground), 12, (1, 2, 3), unit)
    assert not nothing.tiles.any() and not nothing.patches.any()


def test_cells_of_a_part_are_those_that_lie_in_it_by_half(tmp_path):
    from types import SimpleNamespace

    import scipy.sparse as sp

    from napari_phenolens.cells import Foreground
    from napari_phenolens.run.units import Scene, units_of

    weights = sp.csr_matrix(np.array([[0.5, 0.5, 0, 0], [0, 0, 0.2, 0.8], [0.4, 0, 0.6, 0]], np.float32))
    scene = Scene(np.zeros((1, 16, 16)), np.ones((2, 2), bool), weights, {"cell_count": 3.0, "focus": float("nan")})
    patches = np.array([[True, True], [False, True]])
    part = parts.within(scene, patches)
    np.testing.assert_allclose(part.weights.toarray(), [[0.5, 0.5, 0, 0], [0, 0, 0, 1]])
    assert parts.within(scene, np.zeros((2, 2), bool)).weights.shape == (0, 4)
    assert units_of(np.ones((2, 2, 3), np.float32), part, "cell", 16).tokens.shape == (2, 3)

    store = SimpleNamespace(path=tmp_path, room_for=lambda _: True)
    rules = SimpleNamespace(nuclear="DNA", foreground=Foreground(), unit="patch")
    kept = parts.PartStore(store, rules, 2)
    tokens = np.arange(12, dtype=np.float16).reshape(3, 4)
    assert kept.get(("B02", 1)) is None
    kept.put(("B02", 1), part, patches, tokens)
    found, where, packed = kept.get(("B02", 1))
    np.testing.assert_array_equal(where, patches)
    np.testing.assert_array_equal(packed, tokens)
    np.testing.assert_array_equal(found.foreground, part.foreground)
    np.testing.assert_allclose(found.weights.toarray(), part.weights.toarray())
    assert (
        found.image.shape == (1, 16, 16) and found.covariates["cell_count"] == 3 and np.isnan(found.covariates["focus"])
    )
    assert parts.PartStore(store, SimpleNamespace(**{**vars(rules), "nuclear": "ER"}), 2).get(("B02", 1)) is None
    kept._path(("B02", 1)).write_bytes(b"PK broken")
    assert kept.get(("B02", 1)) is None


def test_small_plates_and_small_fields_are_taken_whole(plate, monkeypatch):
    from types import SimpleNamespace

    def settings(side):
        return SimpleNamespace(plan=lambda _f: plan_tiles((side, side), 8, 128, 2), sources=("DNA", "GFP"))

    assert parts.part_tiles(plate, settings(1080)) == 0  # few fields
    monkeypatch.setattr(parts, "BIG_TOKENS", 0)
    assert parts.part_tiles(plate, settings(1080)) == 12
    assert parts.part_tiles(plate, settings(256)) == 0  # the part would be all of it


def test_leading_fields_of_fewer_wells_are_among_those_of_more(plate):
    wells = list(plate.wells)
    few, many = parts.leading_fields(plate, wells[:3], 3), parts.leading_fields(plate, wells, len(wells) + 2)
    assert [f for _, f in few] == [0, 0, 0]
    assert set(few) <= set(many) and len(many) == len(wells) + 2
