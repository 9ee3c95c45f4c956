"""What a finished run tells of one feature: histograms of sides, and what each channel gives to its alignment."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from miniplate import NEGATIVE, SETTINGS

import napari_phenolens as ph
from napari_phenolens.analysis import AnalysisError, contribution_channels, feature_histogram
from napari_phenolens.run.channel_parts import channels_apart
from napari_phenolens.run.sketch import ACTIVATION_STEP


def test_histogram_counts_every_active_patch_once(finished) -> None:
    run = ph.open_run(finished.path)
    feature = int(run.density.idxmax())
    table = feature_histogram(run, feature)
    for side, wells in (("control", run.controls), ("perturbed", [w for w in run.wells if w not in run.controls])):
        values, patches = [], 0
        for well in wells:
            for field in run.fields(well):
                seen = run.foreground(well, field)
                values.append(run.activation(well, field, feature)[seen])
                patches += int(seen.sum())
        every = np.concatenate(values)
        active = every[every != 0]
        assert table.attrs["patches"][side] == patches
        assert table.attrs["active"][side] == pytest.approx(len(active) / patches)
        expected = np.histogram(active // ACTIVATION_STEP, bins=np.arange(len(table) + 1) - 0.5)[0] / patches
        np.testing.assert_allclose(table[side], expected, atol=2 / patches)
        assert table[side].sum() == pytest.approx(len(active) / patches)
    assert table["low"].iloc[0] == 0 and np.allclose(np.diff(table["low"]), ACTIVATION_STEP)
    with pytest.raises(AnalysisError, match="no perturbed well"):
        feature_histogram(run, feature, controls=run.wells)


def test_channels_add_up_to_the_alignment(finished) -> None:
    run = ph.open_run(finished.path)
    assert contribution_channels(run) == ("DNA", "GFP")
    whole = ph.heatmap(run, "C01", None, 3, kind="alignment")
    parts = [ph.heatmap(run, "C01", None, 3, kind="alignment", channel=c) for c in ("DNA", "GFP")]
    assert [p.channel for p in parts] == ["DNA", "GFP"]
    assert {(p.scale, p.translate, p.limits) for p in parts} == {(whole.scale, whole.translate, whole.limits)}
    reach = float(np.abs(whole.values).max())
    np.testing.assert_allclose(sum(p.values for p in parts), whole.values, atol=1e-4 * reach)
    assert min(np.abs(p.values).max() for p in parts) > 0.05 * reach
    i, j = 4, 5
    table = ph.contributions(run, "C01", None, 3, at=((i + 0.5) * run.patch, (j + 0.5) * run.patch))
    assert table["contribution"].to_list() == pytest.approx([p.values[i, j] for p in parts])
    assert table.attrs["alignment"] == pytest.approx(whole.values[i, j], abs=1e-4 * reach)
    assert table["share"].sum() == pytest.approx(1)
    seen = run.foreground("C01")
    mean = ph.contributions(run, "C01", None, 3)
    assert mean.attrs["alignment"] == pytest.approx(whole.values[seen].mean(), abs=1e-4 * reach)
    finer = [ph.heatmap(run, "C01", None, 3, kind="alignment", channel=c, stride=4).values for c in ("DNA", "GFP")]
    expected = ph.heatmap(run, "C01", None, 3, kind="alignment", stride=4).values
    np.testing.assert_allclose(sum(finer), expected, atol=1e-4 * np.abs(expected).max())


def test_a_run_with_its_own_centre_adds_up_with_a_row_for_it(finished, plate, tmp_path) -> None:
    out = tmp_path / "own"
    run = ph.apply_lens(finished.lens, plate, out, controls=NEGATIVE, device=SETTINGS["device"])
    moved = np.zeros(run.plan.dim, np.float32)
    moved[0] = 2.0
    run.plan = dataclasses.replace(run.plan, recentre=True)
    np.save(out / "recentre.npy", moved)
    whole = ph.heatmap(run, "A01", None, 2, kind="alignment").values
    table = ph.contributions(run, "A01", None, 2, at=(20, 20))
    assert list(table.index) == ["DNA", "GFP", "re-centring"]
    assert table.loc["re-centring", "contribution"] == pytest.approx(-2 * run.lens.dictionary.atoms[2, 0])
    assert table["contribution"].sum() == pytest.approx(whole[20 // run.patch, 20 // run.patch], rel=1e-4, abs=1e-4)


def test_where_channels_are_mixed_it_says_so(finished) -> None:
    run = ph.open_run(finished.path)
    lens = run.lens
    assert channels_apart(lens)
    assert not channels_apart(dataclasses.replace(lens, channel_pooling="mean"))
    assert not channels_apart(dataclasses.replace(lens, encoder="timm:vit_small?channels=triple"))
    assert not channels_apart(dataclasses.replace(lens, encoder="no-such-encoder"))
    with pytest.raises(AnalysisError, match=r"no channel 'RNA'.*DNA, GFP"):
        ph.heatmap(run, "A01", None, 1, kind="alignment", channel="RNA")
    with pytest.raises(AnalysisError, match="part of the alignment, not of the activation"):
        ph.heatmap(run, "A01", None, 1, channel="DNA")
    run.__dict__["channels_apart"] = False
    with pytest.raises(AnalysisError, match="cannot be told apart"):
        ph.contributions(run, "A01", None, 1)
