"""``phenolens demo``: the whole story on the built-in plate, whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_phenolens.cli import output
from napari_phenolens.cli.outcome import cancel_on_interrupt
from napari_phenolens.cli.progress import show_progress

if TYPE_CHECKING:
    import pandas as pd

    from napari_phenolens.demo import DemoTruth
    from napari_phenolens.plate import Plate
    from napari_phenolens.run import Run

LEADING = 3  # features shown for each phenotype
SHOWN = ("type", "effect", "effect_low", "effect_high", "auroc", "technical", "count_linked")
PLANTED = {
    "translocation": "a reporter moves from cytoplasm to nucleus (top dose of a series)",
    "nuclear size": "larger nuclei",
    "actin texture": "actin filaments become puncta",
    "cell loss": "fewer cells, each like a control cell",
    "mixed translocation": "half of the cells respond as in translocation, half escape",
}


def tell(folder: Path, as_json: bool) -> None:
    """Write the demo plate, run over it, compare, and hold what is found against what was planted.

    Parameters
    ----------
    folder : Path
        Where everything is put: ``demo-plate``, ``run``, ``tables`` and ``heatmaps``.
    as_json : bool
        Print the findings as JSON.
    """
    from napari_phenolens import open_plate
    from napari_phenolens.demo import DEMO_CONTROLS, DEMO_PERTURBED, DEMO_SETTINGS, demo_truth, write_demo_plate
    from napari_phenolens.run import run_plate

    platemap = folder / "demo-plate" / "platemap.csv"
    with cancel_on_interrupt() as cancel, show_progress(output.console(stderr=True)) as progress:
        if not platemap.exists():  # it is written last; files that are there keep their times, so that a run goes on
            write_demo_plate(platemap.parent, progress=progress)
        plate = open_plate(platemap.parent, platemap)
        run = run_plate(
            plate,
            folder / "run",
            controls=DEMO_CONTROLS,
            tokens=folder / "tokens",
            progress=progress,
            cancel=cancel,
            **DEMO_SETTINGS,
        )
    truth = demo_truth()
    found: list[dict[str, Any]] = []
    for name, query in DEMO_PERTURBED.items():
        # Which cells of the mixed wells respond is asked of the feature found where all of them do: that of
        # the mixed wells themselves was chosen on two wells.
        known = next((row["leading"][0]["name"] for row in found if row["planted"] in name), None)
        found.append(_find(name, query, run, plate, truth, folder, known))
    if as_json:
        output.print_json({"folder": str(folder), "rows": found})
        return
    if run.already_complete:
        output.say(f"The run in {folder / 'run'} is complete; nothing was computed again.")
    output.say("What was planted in the demo plate, and what leads in its wells:")
    for planted in found:
        output.say(f"\n{planted['planted']}: {PLANTED[planted['planted']]}")
        output.say(output.wrapped(f"  truth: {planted['truth']}"))
        output.print_rows(planted["leading"], list(planted["leading"][0]))
    _say_where(folder)


def _find(
    name: str, query: str, run: Run, plate: Plate, truth: DemoTruth, folder: Path, known: int | None
) -> dict[str, Any]:
    """Compare one phenotype's wells with the controls; write its table and the pictures of its leading feature."""
    from napari_phenolens import compare
    from napari_phenolens.demo import DEMO_CONTROLS
    from napari_phenolens.export import export_comparison

    table = compare(run, controls=DEMO_CONTROLS, perturbed=query)
    stem = name.replace(" ", "-")
    export_comparison(table, folder / "tables" / f"{stem}.csv")
    features = table[table["type"] == "feature"]
    _map(run, plate, table, int(features.index[0]), folder / "heatmaps", stem)
    best = (features.head(LEADING), table[table["type"] == "covariate"].head(1))
    rows = [row for part in best for row in output.records(part[list(SHOWN)].rename_axis("name"))]
    return {
        "planted": name,
        "truth": _truth(truth, table, run, int(features.index[0] if known is None else known)),
        "leading": [{"leading": row["type"], **{k: v for k, v in row.items() if k != "type"}} for row in rows],
    }


def _truth(truth: DemoTruth, table: pd.DataFrame, run: Run, feature: int) -> str:
    """Say what is known of the wells compared, and how well a feature parts cells where only some respond."""
    control, perturbed = (
        truth.cells[truth.cells["well"].isin(table.attrs[side])] for side in ("controls", "perturbed")
    )
    n0, n1 = (len(cells) / cells["well"].nunique() for cells in (control, perturbed))
    share = perturbed["responding"].mean()
    area = perturbed["nuclear_area"].mean() / control["nuclear_area"].mean()
    said = f"{perturbed['well'].nunique()} wells, {share:.0%} of the cells respond"
    said += f"; nuclei {area:.2f} times the area in control; {n1:.0f} cells a field, {n0:.0f} in control"
    if 0 < share < 1:
        auroc = _cells_parted(perturbed, run, feature)
        said += f"; feature {feature} parts responding from escaping cells with an AUROC of {auroc:.2f}"
    return said


def _cells_parted(cells: pd.DataFrame, run: Run, feature: int) -> float:
    """Chance that a responding cell shows more of a feature around its nucleus than an escaping one (ties half)."""
    import numpy as np

    from napari_phenolens import heatmap

    maps = {well: heatmap(run, well, None, feature) for well in cells["well"].unique()}
    shown = []
    for well, y, x in zip(cells["well"], cells["y"], cells["x"], strict=True):
        mapped = maps[well]
        i, j = (round((at - t) / s) for at, t, s in zip((y, x), mapped.translate, mapped.scale, strict=True))
        shown.append(mapped.values[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].mean())
    values, responding = np.array(shown), cells["responding"].to_numpy(bool)
    above = values[responding][:, None] - values[~responding]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def _map(run: Run, plate: Plate, table: pd.DataFrame, feature: int, folder: Path, stem: str) -> None:
    """Write the heatmaps of a feature in a control and a perturbed well: TIFFs, and both over their cells as a PNG."""
    from napari_phenolens import heatmap
    from napari_phenolens.cli.pictures import grey, joint_limits, overlay, write_side_by_side
    from napari_phenolens.export import export_heatmap

    means = run.profiles()[feature]
    wells = [_typical(means[table.attrs[side]]) for side in ("controls", "perturbed")]
    images = [plate.field(well).read() for well in wells]
    limits = joint_limits(images)
    pictures = []
    for well, image in zip(wells, images, strict=True):
        mapped = heatmap(run, well, None, feature)
        export_heatmap(
            mapped, folder / f"{stem}_feature{feature}_{well}.tif", pixel_size=run.pixel_size, plate=run.plate_name
        )
        pictures.append(overlay(grey(image, limits), mapped, run.limits(feature)))
    write_side_by_side(folder / f"{stem}_feature{feature}_control-{wells[0]}_perturbed-{wells[1]}.png", pictures)


def _typical(means: pd.Series[float]) -> str:
    """Give the well nearest to its side's median."""
    return str((means - means.median()).abs().idxmin())


def _say_where(folder: Path) -> None:
    places = {
        "demo-plate": "the images and the plate map",
        "run": "the run: what the model saw, and the lens",
        "tables": "a comparison for each phenotype, all columns",
        "heatmaps": "leading features as TIFF, and over control and perturbed cells as PNG",
    }
    output.say("\nWhere everything is:")
    for name, what in places.items():
        output.say(f"  {folder / name}".ljust(len(str(folder)) + 16) + what)
    output.say("Look at it in napari:")
    output.say(f"  napari --plugin napari-phenolens {folder / 'run'}")
