"""``phenolens report``: what a run found, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_phenolens.cli import output
from napari_phenolens.cli.options import RunControls, RunFolder
from napari_phenolens.cli.outcome import cancel_on_interrupt, exit_codes
from napari_phenolens.cli.progress import show_progress


@exit_codes
def report(
    run_folder: RunFolder,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html", help="Write the report here.")],
    perturbed: Annotated[
        str | None,
        typer.Option("--perturbed", metavar="QUERY", help="Perturbed wells: a query over the map, or A12,B12."),
    ] = None,
    controls: RunControls = None,
    feature: Annotated[
        list[int] | None,
        typer.Option(
            "--feature", min=0, help="A feature with a page of its own (again for more); else the leading ones."
        ),
    ] = None,
    cell: Annotated[
        list[int] | None, typer.Option("--cell", min=0, help="A cell whose card is shown (again for more).")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="So many features have a page, where none is named.")] = 6,
    only: Annotated[
        bool, typer.Option("--only", help="Only the pages of these features and cells, without plate and tables.")
    ] = False,
    words: Annotated[
        bool, typer.Option("--words/--no-words", help="Name the features by the concepts that they go with.")
    ] = True,
) -> None:
    """Write a report that opens in any browser, offline: plate, features with galleries, cells, methods."""
    from napari_phenolens.export import report as write_report
    from napari_phenolens.run import open_run

    with cancel_on_interrupt() as cancel, show_progress(output.console(stderr=True)) as progress:
        write_report(
            open_run(run_folder), out, controls, perturbed, features=feature or None, cells=cell or (), top=top,
            whole=not only, words=words, progress=progress, cancel=cancel,
        )  # fmt: skip
    output.say(f"The report: {out} ({out.stat().st_size / 2**20:.1f} MiB); open it in a browser")
