"""``phenolens phenotype``: features that go together, read as one score a well, or mapped over a field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_phenolens.cli import output
from napari_phenolens.cli.options import AsJson, Perturbed, RunControls, RunFolders
from napari_phenolens.cli.outcome import exit_codes

SIDE = {(False, False): "", (True, False): "perturbed", (False, True): "control"}


@exit_codes
def phenotype(
    runs: RunFolders,
    perturbed: Perturbed,
    controls: RunControls = None,
    feature: Annotated[
        int | None, typer.Option("--feature", min=0, help="Whose phenotype; that of the leading feature by default.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="So many of its strongest features make the score.")] = 50,
    well: Annotated[
        str | None, typer.Option("--well", metavar="B07", help="With --map: the well to map it over.")
    ] = None,
    field: Annotated[
        str | None, typer.Option("--field", metavar="1", help="With --map: its name or 0-based place; the first.")
    ] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", metavar="FILE.tif", help="Write the score of every patch of that field.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="CSV", help="Write the score of every well here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score the wells by the features that go together between control and perturbed wells: 0 control, 1 perturbed."""
    if (well is None) != (map_file is None):
        raise typer.BadParameter("--well and --map FILE.tif go together")
    if map_file is not None and len(runs) > 1:
        raise typer.BadParameter("--map is of one run; give one")
    import pandas as pd

    from napari_phenolens import open_run
    from napari_phenolens import phenotype as find_phenotype

    opened = [open_run(path) for path in runs]
    found = find_phenotype(opened, controls, perturbed, feature=feature, most=most)
    plates = []
    for run in opened:
        part = found.score(run).to_frame()
        part.insert(0, "plate", run.plate_name)
        if len(opened) == 1:
            part["side"] = [SIDE[w in found.perturbed, w in found.controls] for w in part.index]
        plates.append(part)
    scores = pd.concat(plates)
    scores.attrs = {
        "features": output.records(found.table()),
        "controls": list(found.controls),
        "perturbed": list(found.perturbed),
    }
    if out is not None:
        from napari_phenolens.export import export_comparison

        export_comparison(scores, out)
    if map_file is not None and well is not None:
        from napari_phenolens.export import export_heatmap

        mapped = found.heatmap(opened[0], well, field)
        export_heatmap(mapped, map_file, pixel_size=opened[0].pixel_size, plate=opened[0].plate_name)
    if as_json:
        output.print_json({**scores.attrs, "rows": output.records(scores)})
        return
    names = ", ".join(map(str, found.features[:12])) + (" ..." if len(found.features) > 12 else "")
    output.say(output.wrapped(f"{len(found.features)} features go together: {names}"))
    output.say(
        output.wrapped(
            f"Chosen on {len(found.controls)} control and {len(found.perturbed)} perturbed wells: their own scores are "
            "in-sample (mean 0 and 1 by construction)."
        )
    )
    output.print_table(scores)
    if out is not None:
        output.say(f"The scores: {out} (and their features: {out.with_suffix('.json')})")
    if map_file is not None:
        output.say(f"The map: {map_file}")
