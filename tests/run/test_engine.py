from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from miniplate import NEGATIVE, SETTINGS, WELLS, arrays_of, assert_same

from napari_phenolens.errors import Cancelled
from napari_phenolens.lens import LensError, load_lens
from napari_phenolens.plate import open_plate
from napari_phenolens.run import RunError, apply_lens, estimate, fit_lens, open_run, run_plate


def test_a_run_is_whole_and_says_what_it_is_of(finished):
    assert finished.complete and not finished.provisional and not finished.already_complete
    assert finished.wells == WELLS and finished.n_features == 48
    assert finished.fields("a1") == ("1", "2")
    assert finished.channels == ("DNA", "GFP")
    assert finished.lens.nuclear == "DNA" and finished.lens.foreground.kind == "nuclei"
    assert finished.controls == ["A01", "A02", "B01", "B02"]
    assert finished.lens.controls == tuple(f"{finished.plate_name}/{w}" for w in finished.controls)
    assert finished.select("control_type == 'poscon'") == ["C01", "C02", "D01", "D02"]


def test_profiles_are_the_means_of_the_stored_codes(finished):
    profile = finished.profiles()
    for well in ("A01", "D02"):
        total, units = np.zeros(48), 0
        for field in finished.fields(well):
            index, value = finished.codes(well, field)
            np.add.at(total, index.ravel(), value.ravel())
            units += finished.foreground(well, field).sum()
        np.testing.assert_allclose(profile.loc[well], total / units, rtol=1e-4, atol=1e-7)


def test_background_has_no_codes_and_foreground_has_some(finished):
    _, value = finished.codes("A01", "1")
    there = finished.foreground("A01", "1").ravel()
    assert 0.2 < there.mean() < 1
    assert (value[~there] == 0).all()
    assert (value[there] != 0).any(axis=1).mean() > 0.99


def test_alignment_averages_exactly_to_the_profile(finished):
    per_well = finished.profiles(kind="alignment").loc["C01"]
    sums, units = np.zeros(48), 0
    for field in finished.fields("C01"):
        tokens = finished.tokens("C01", field)[finished.foreground("C01", field)]
        sums += (tokens @ finished.lens.dictionary.atoms.T).sum(0)
        units += len(tokens)
    np.testing.assert_allclose(per_well, sums / units, atol=2e-4)


def test_tokens_of_some_patches_are_those_of_the_field(finished):
    whole = finished.tokens("B02", 0)
    patches = np.array([0, 3, whole.shape[0] * whole.shape[1] - 1])
    some = finished.patch_tokens("B02", 0, patches)
    np.testing.assert_allclose(some, whole.reshape(-1, whole.shape[-1])[patches], atol=1e-4)


def test_strength_is_the_norm_of_the_whitened_tokens(finished):
    tokens = finished.tokens("B02", 0)
    np.testing.assert_allclose(finished.strength("B02", 0), np.linalg.norm(tokens, axis=2), rtol=2e-3)


def test_control_tokens_are_white(finished):
    tokens = np.concatenate(
        [finished.tokens(w, f)[finished.foreground(w, f)] for w in finished.controls for f in finished.fields(w)]
    )
    assert abs(tokens.mean()) < 0.05
    # of the kept components the strong ones have unit variance; the floor shrinks the weak ones
    assert 0.7 < tokens.var(0).max() < 1.3


def test_the_planted_difference_is_found(finished):
    profile = finished.profiles()
    a, b = profile.loc[finished.controls], profile.drop(index=finished.controls)
    gap = (a.mean() - b.mean()).abs() / (a.std() + b.std() + 1e-6)
    assert gap.max() > 3


@pytest.mark.parametrize("kind", ["activation", "alignment", "active"])
@pytest.mark.parametrize("per", ["patch", "field", "cell"])
def test_every_profile_is_finite_and_named(finished, per, kind):
    table = finished.profiles(per=per, kind=kind)
    assert table.shape == (8, 48) and table.index.name == "well"
    assert np.isfinite(table.to_numpy()).all()
    if kind == "active":
        assert table.to_numpy().min() >= 0 and table.to_numpy().max() <= 1 + 1e-6


def test_cell_profiles_weight_each_cell_alike(finished):
    from napari_phenolens.lens import Normalisation
    from napari_phenolens.run.field_tokens import TokenSettings
    from napari_phenolens.run.units import look

    lens, plan = finished.lens, finished.plan
    settings = TokenSettings(
        plan.sources, lens.channels, lens.channel_pooling, lens.patch, lens.tile, lens.margin, lens.pixel_size,
        Normalisation.from_dict(plan.normalisation),
    )  # fmt: skip
    plate = finished.plate()
    means = []
    for field in plate.wells["A01"].fields:
        scene = look(field, settings, lens)
        index, value = finished.codes("A01", field.name)
        dense = np.zeros((len(index), 48))
        np.add.at(dense, (np.arange(len(index))[:, None], index), value)
        means.append(scene.weights @ dense)
    np.testing.assert_allclose(
        finished.profiles(per="cell").loc["A01"], np.concatenate(means).mean(0), rtol=1e-3, atol=1e-6
    )


def test_field_profiles_make_up_the_well(finished):
    table = finished.field_profiles()
    assert list(table.index[:2]) == [("A01", "1"), ("A01", "2")] and table.shape == (16, 48)
    per_field = table.groupby("well").mean()
    np.testing.assert_allclose(per_field, finished.profiles(per="field"), rtol=1e-5)
    with pytest.raises(RunError, match="unit of this run is the patch"):
        finished.owner("A01")


def test_covariates_count_cells_and_foreground(finished):
    table = finished.covariates()
    assert list(table.index) == WELLS
    assert table["cell_count"].between(5, 20).all()
    assert table["foreground_share"].between(0.2, 1).all()


def test_a_weighted_map_is_the_sum_of_the_features_maps(finished):
    weights = np.zeros(finished.n_features)
    weights[[0, 3, 5]] = 0.5, -2.0, 1.0
    want = sum(w * finished.activation("A01", None, f).astype(float) for f, w in enumerate(weights) if w)
    got = finished.weighted_activation("A01", None, weights)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)
    assert got.any() and not got[~finished.foreground("A01")].any()


def test_limits_are_shared_and_follow_the_codes(finished):
    values = np.concatenate([finished.codes(w, f)[1].ravel() for w in WELLS for f in finished.fields(w)])
    index = np.concatenate([finished.codes(w, f)[0].ravel() for w in WELLS for f in finished.fields(w)])
    for feature in (0, 7, 33):
        mine = values[(index == feature) & (values > 0)]
        low, high = finished.limits(feature)
        assert low == 0
        assert np.quantile(mine, 0.98) <= high <= mine.max() + 0.011
    low, high = finished.limits(3, "alignment")
    assert low == -high and high > 0


def test_examples_are_the_strongest_places(finished):
    table = finished.examples(5, count=6)
    assert table["value"].is_monotonic_decreasing and len(table) == 6
    first = table.iloc[0]
    heat = finished.activation(first["well"], first["field"], 5)
    assert heat.ravel()[first["unit"]] == pytest.approx(first["value"])
    everywhere = max(finished.activation(w, f, 5).max() for w in WELLS for f in finished.fields(w))
    assert first["value"] == pytest.approx(everywhere)


def test_density_is_the_share_of_active_units(finished):
    active = np.zeros(48)
    units = 0
    for well in WELLS:
        for field in finished.fields(well):
            index, value = finished.codes(well, field)
            active += np.bincount(index[value != 0], minlength=48)
            units += finished.foreground(well, field).sum()
    np.testing.assert_allclose(finished.density, active / units)


def test_a_second_run_does_nothing_but_say_so(finished, plate):
    before = {p: p.stat().st_mtime_ns for p in finished.path.rglob("*") if p.is_file() and p.name != ".lock"}
    again = run_plate(plate, finished.path, controls=NEGATIVE, tokens=finished.path.parent / "tokens", **SETTINGS)
    assert again.already_complete
    assert before == {p: p.stat().st_mtime_ns for p in finished.path.rglob("*") if p.is_file() and p.name != ".lock"}


def test_other_settings_in_the_same_folder_are_refused(finished, plate):
    with pytest.raises(RunError, match="other settings"):
        run_plate(plate, finished.path, controls=NEGATIVE, **{**SETTINGS, "atoms": 64})
    with pytest.raises(RunError, match="other settings"):
        run_plate(plate, finished.path, controls=["A01", "A02"], **SETTINGS)


def test_a_cancelled_run_resumes_to_the_same_arrays(finished, plate, tmp_path):
    calls = []

    def progress(report):
        calls.append(report)

    def cancel():
        return sum(r.stage == "apply" for r in calls) >= 7

    with pytest.raises(Cancelled):
        run_plate(
            plate,
            tmp_path / "run",
            controls=NEGATIVE,
            tokens=tmp_path / "t",
            progress=progress,
            cancel=cancel,
            **SETTINGS,
        )
    part = open_run(tmp_path / "run")
    assert part.provisional and 0 < len(part.wells) < len(WELLS)
    done = run_plate(plate, tmp_path / "run", controls=NEGATIVE, tokens=tmp_path / "t", **SETTINGS)
    assert done.complete and not done.already_complete
    assert_same(finished.path, done.path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("stage", ["controls", "dictionary", "apply"])
def test_a_killed_run_resumes_to_the_same_arrays(finished, plate_folder, plate, tmp_path, stage):
    code = f"""
import sys
from napari_phenolens.plate import open_plate
from napari_phenolens.run import run_plate
plate = open_plate({str(plate_folder)!r}, {str(plate_folder / "platemap.csv")!r})
def progress(report):
    print(report.stage, report.done, flush=True)
out, tokens = {str(tmp_path / "run")!r}, {str(tmp_path / "t")!r}
run_plate(plate, out, controls={NEGATIVE!r}, tokens=tokens, progress=progress, **{SETTINGS!r})
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ.copy()
    ) as process:
        assert process.stdout is not None
        seen = 0
        for line in process.stdout:
            seen += line.startswith(stage)
            if seen == 3:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    done = run_plate(plate, tmp_path / "run", controls=NEGATIVE, tokens=tmp_path / "t", **SETTINGS)
    assert_same(finished.path, done.path)


def test_tokens_once_stored_are_not_encoded_again(finished, plate, tmp_path, monkeypatch):
    from napari_phenolens.run.engine import Engine

    def refuse(*_, **__):
        raise AssertionError("encoded again")

    monkeypatch.setattr(Engine, "encode", refuse)
    done = run_plate(plate, tmp_path / "run", controls=NEGATIVE, tokens=finished.path.parent / "tokens", **SETTINGS)
    assert_same(finished.path, done.path)


def test_without_room_for_tokens_the_run_is_the_same(finished, plate, tmp_path, monkeypatch):
    from napari_phenolens.run.token_store import TokenStore

    monkeypatch.setattr(TokenStore, "room_for", lambda self, size: False)
    done = run_plate(plate, tmp_path / "run", controls=NEGATIVE, tokens=tmp_path / "t", **SETTINGS)
    assert not list((tmp_path / "t").rglob("c"))
    assert_same(finished.path, done.path)
    monkeypatch.undo()
    np.testing.assert_allclose(done.tokens("C02", 1), finished.tokens("C02", 1), atol=1e-5)


def test_a_lens_saved_and_loaded_gives_the_same_run(finished, plate, tmp_path):
    path = finished.lens.save(tmp_path / "lens")
    loaded = load_lens(path)
    assert path.suffix == ".safetensors" and loaded.fingerprint == finished.lens.fingerprint
    run = apply_lens(loaded, plate, tmp_path / "run", tokens=finished.path.parent / "tokens", device="cpu")
    assert_same(finished.path, run.path)


def test_channels_in_another_order_or_renamed(finished, plate_folder, tmp_path):
    other = tmp_path / "renamed"
    other.mkdir()
    for file in plate_folder.glob("*.tif"):
        shutil.copy(file, other / file.name.replace("DNA", "w2").replace("GFP", "w1"))
    shutil.copy(plate_folder / "platemap.csv", other / "platemap.csv")
    plate = open_plate(other, other / "platemap.csv")
    assert plate.channels == ("w1", "w2")
    with pytest.raises(LensError, match="--channels DNA="):
        apply_lens(finished.lens, plate, tmp_path / "run")
    run = apply_lens(
        finished.lens, plate, tmp_path / "run", controls=NEGATIVE, channels={"DNA": "w2", "GFP": "w1"}, device="cpu"
    )
    # the same pixels: re-centring on the same controls moves nothing to speak of
    np.testing.assert_allclose(run.profiles("patch", "alignment"), finished.profiles("patch", "alignment"), atol=0.02)
    assert run.plan.recentre


def test_a_damaged_file_is_skipped_named_and_the_run_goes_on(plate_folder, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(plate_folder, broken)
    (broken / "B02_f2_GFP.tif").write_bytes(b"II*\x00 not a picture")
    (broken / "D01_f1_DNA.tif").write_bytes(b"")
    (broken / "A01_f1_DNA.tif").write_bytes(b"")  # the very first file of the plate, of a control well
    plate = open_plate(broken, broken / "platemap.csv")
    assert plate.pixel_size is None and estimate(plate, block=1, device="cpu").fields == 16
    run = run_plate(plate, tmp_path / "run", controls=NEGATIVE, tokens=tmp_path / "t", **SETTINGS)
    assert run.complete and run.wells == WELLS
    skipped = run.skipped.set_index(["well", "field"])["reason"]
    assert set(skipped.index) == {("A01", "1"), ("B02", "2"), ("D01", "1")}
    assert "B02_f2_GFP.tif" in skipped["B02", "2"]
    assert run.fields("B02") == ("1",) and run.fields("D01") == ("2",)
    assert np.isfinite(run.profiles().to_numpy()).all()
    with pytest.raises(RunError, match="no field"):
        run.activation("B02", "2", 0)


def test_a_well_without_cells_has_a_nan_profile(plate_folder, tmp_path):
    import tifffile

    empty = tmp_path / "empty"
    shutil.copytree(plate_folder, empty)
    noise = np.random.default_rng(0).normal(100, 12, (168, 150)).astype(np.uint16)
    for file in empty.glob("D02_*.tif"):
        tifffile.imwrite(file, noise)
    run = run_plate(
        open_plate(empty, empty / "platemap.csv"),
        tmp_path / "run",
        controls=NEGATIVE,
        tokens=tmp_path / "t",
        **SETTINGS,
    )
    profile = run.profiles()
    assert profile.loc["D02"].isna().all() and profile.drop(index="D02").notna().all().all()


@pytest.mark.parametrize("unit", ["crop", "cell"])
def test_other_units(plate, finished, tmp_path, unit):
    run = run_plate(
        plate, tmp_path / "run", controls=NEGATIVE, tokens=finished.path.parent / "tokens", unit=unit,
        **{**SETTINGS, "atoms": 12, "sparsity": (2, 2), "method": "icfl"},
    )  # fmt: skip
    row = run.field_row("A01", 0)
    if unit == "crop":
        assert (row["h"], row["w"], row["units"], row["scale"]) == (1, 1, 1, 128)
    else:
        assert (row["h"], row["w"]) == (21, 19) and row["units"] == row["cells"] > 4
        heat = run.activation("A01", 0, int(np.bincount(run.codes("A01", 0)[0].ravel()).argmax()))
        assert heat.shape == (21, 19) and heat.max() > 0
        assert not run.foreground("A01", 0).all()
        owner = run.owner("A01", 0)
        assert owner.max() == row["units"] - 1 and ((owner >= 0) == run.foreground("A01", 0)).all()
    assert np.isfinite(run.profiles().to_numpy()).all()


def test_topk_runs_through_as_well(plate, finished, tmp_path):
    run = run_plate(
        plate,
        tmp_path / "run",
        controls=NEGATIVE,
        tokens=finished.path.parent / "tokens",
        **{**SETTINGS, "method": "topk"},
    )
    assert run.lens.dictionary.method == "topk" and run.complete
    assert load_lens(run.path / "lens.safetensors").fingerprint == run.lens.fingerprint


def test_two_processes_may_not_write_one_run(finished, plate, tmp_path):
    import filelock

    with filelock.FileLock(finished.path / ".lock"), pytest.raises(RunError, match="another process"):
        apply_lens(finished.lens, plate, finished.path)


def test_big_plates_get_a_first_pass_and_end_the_same(finished, plate, tmp_path, monkeypatch):
    from napari_phenolens.run import apply

    monkeypatch.setattr(apply, "FIRST_PASS_SECONDS", 1e-3)
    states = []

    def progress(report):
        if report.stage == "first pass" and report.done == report.total:
            states.append("ended")

    seen = []
    done = run_plate(
        plate, tmp_path / "run", controls=NEGATIVE, tokens=finished.path.parent / "tokens", progress=progress,
        cancel=lambda: bool(states) and not seen and (seen.append(open_run(tmp_path / "run")) or False), **SETTINGS,
    )  # fmt: skip
    assert states and seen[0].provisional and len(seen[0].wells) >= 7
    assert done.complete and done.plan.first_pass == 1
    for name, values in arrays_of(finished.path).items():
        np.testing.assert_array_equal(values, arrays_of(done.path)[name])


def test_bad_requests_are_refused_in_plain_words(plate, finished, tmp_path):
    with pytest.raises(RunError, match="unit 'pixel' is unknown"):
        fit_lens(plate, NEGATIVE, unit="pixel")
    with pytest.raises(RunError, match="no channel Cy5"):
        fit_lens(plate, NEGATIVE, channels=["Cy5"])
    with pytest.raises(RunError, match="named twice"):
        fit_lens(plate, NEGATIVE, channels=["DNA", "DNA"])
    with pytest.raises(RunError, match="needs a nuclear channel"):
        fit_lens(plate, NEGATIVE, channels=["GFP"], unit="cell")
    with pytest.raises(RunError, match="control wells"):
        run_plate(plate, tmp_path / "run")
    with pytest.raises(RunError, match="no run here"):
        open_run(tmp_path)
    with pytest.raises(RunError, match="no feature 48"):
        finished.activation("A01", 0, 48)
    with pytest.raises(RunError, match="no results for well H12"):
        finished.codes("H12")
    with pytest.raises(RunError, match="no field 'x'"):
        finished.codes("A01", "x")
    with pytest.raises(LensError, match="no such lens"):
        load_lens(tmp_path / "none.safetensors")


def test_an_estimate_counts_tiles_and_bytes(plate):
    found = estimate(plate, block=1, device="cpu")
    assert found.fields == 16 and found.tiles == 16 * 4
    assert found.seconds > 0 and found.bytes > 1e6
    assert "64 tiles" in str(found)


def test_cancel_answers_soon_at_any_moment(plate, tmp_path):
    for after in (0.3, 1.1, 2.3):
        began, answered = time.monotonic(), []

        def cancel(began=began, after=after):
            return time.monotonic() - began > after

        try:
            run_plate(plate, tmp_path / "run", controls=NEGATIVE, tokens=tmp_path / "t", cancel=cancel, **SETTINGS)
        except Cancelled:
            answered.append(time.monotonic() - began - after)
        # half a second is the aim; a shared machine in the middle of other tests is given more
        assert not answered or answered[0] < 2.0
