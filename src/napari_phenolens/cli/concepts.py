"""``phenolens concepts`` and ``phenolens distinguish``: features in words, and from cells to features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_phenolens.cli import arguments, output
from napari_phenolens.cli.options import AsJson, RunControls, RunFolder
from napari_phenolens.cli.outcome import exit_codes

SHOWN = (
    "feature", "concept", "kind", "words", "r", "rho", "q", "auroc", "rho_controls", "rho_within",
    "r_cells_controls", "support", "tied",
)  # fmt: skip
FEATURES = 20  # printed where none were asked for, and rows that `distinguish` prints


@exit_codes
def concepts(
    run_folder: RunFolder,
    features: Annotated[
        str | None, typer.Option("--features", metavar="17,40", help="Only these; by default all, 20 of them printed.")
    ] = None,
    phenotype: Annotated[
        str | None,
        typer.Option("--phenotype", metavar="QUERY", help="Name the phenotype of these perturbed wells, not features."),
    ] = None,
    perturbed: Annotated[
        str | None,
        typer.Option("--perturbed", metavar="QUERY", help="Look at these and the control wells alone; by default all."),
    ] = None,
    controls: RunControls = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            "--annotations", metavar="CSV", help="Your table of wells (well, ...) or cells (well,field,label)."
        ),
    ] = None,
    gene_sets: Annotated[
        Path | None, typer.Option("--gene-sets", metavar="FILE", help="A .gmt file, or a CSV with set and gene.")
    ] = None,
    gene: Annotated[
        str | None, typer.Option("--gene", metavar="COLUMN", help="With --gene-sets: the plate map's column of genes.")
    ] = None,
    most: Annotated[
        int, typer.Option("--most", min=1, help="Concepts a feature: so many of looks, and so many of treatment.")
    ] = 5,
    permutations: Annotated[int, typer.Option("--permutations", min=99, help="Shuffles of whole wells.")] = 1000,
    out: Annotated[Path | None, typer.Option("--out", metavar="CSV", help="Write the table here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say in words what features go with: cells as measured, doses, the plate map, your own annotations."""
    import napari_phenolens

    if features is not None and phenotype is not None:
        raise typer.BadParameter("--features and --phenotype exclude one another")
    run = napari_phenolens.open_run(run_folder)
    what = _numbers(features) if phenotype is None else napari_phenolens.phenotype(run, controls, phenotype)
    table = napari_phenolens.concepts(
        run, what, controls=controls, perturbed=perturbed, annotations=annotations, gene_sets=gene_sets,
        gene=gene, most=most, permutations=permutations,
    )  # fmt: skip
    _write(table, out)
    if as_json:
        output.print_json({**table.attrs, "rows": output.records(table)})
        return
    about = table.attrs
    _warn(about)
    tested = f"q over {about['tests']} pairs" if about["tests"] else "no q: its features were picked on these wells"
    output.say(
        output.wrapped(
            f"{about['concepts']} concepts over {len(about['wells'])} wells and {about['cells']} cells; {tested}. "
            "These are correlates: what goes with a feature need not be what it sees."
        )
    )
    every = features is None and phenotype is None
    labels = {feature: words for feature, words in about["labels"].items() if words or not every}
    if every:
        best = (
            table[table["rank"] == 1].groupby("feature")["r"].agg(lambda r: r.abs().max()).sort_values(ascending=False)
        )
        labels = {f: labels[f] for f in best.index if f in labels}
    shown = dict(list(labels.items())[: FEATURES if every else None])
    output.print_rows(
        [{"feature": f, "label": words or "nothing significant"} for f, words in shown.items()], ["feature", "label"]
    )
    if every:
        output.say(
            f"{len(labels)} features have a label; all rows with --out CSV or --json, one feature with --features"
        )
    else:
        output.print_table(table, SHOWN)


@exit_codes
def distinguish(
    run_folder: RunFolder,
    cells: Annotated[
        str | None,
        typer.Option("--cells", metavar="CONDITION", help="Cells, such as \"area_nucleus > 300 and well == 'B07'\"."),
    ] = None,
    concept: Annotated[
        str | None, typer.Option("--concept", metavar="NAME", help="Cells with much of this against cells with little.")
    ] = None,
    well: Annotated[
        str | None, typer.Option("--well", metavar="B07", help="With --region: the well that it lies in.")
    ] = None,
    field: Annotated[
        str | None, typer.Option("--field", metavar="1", help="With --region: the field; the well's first.")
    ] = None,
    region: Annotated[
        str | None, typer.Option("--region", metavar="Y,X;Y,X;...", help="Corners of a polygon in field pixels.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", metavar="CONDITION", help="The cells to hold them against; all others.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="CSV", help="Write the table here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find the features that tell some cells from others, with a score on wells that were not looked at."""
    if (region is None) != (well is None):
        raise typer.BadParameter("--region and --well go together")
    import napari_phenolens

    run = napari_phenolens.open_run(run_folder)
    drawn = None if region is None or well is None else (well, field, arguments.corners(region))
    table = napari_phenolens.distinguish(run, cells, concept=concept, region=drawn, against=against)
    _write(table, out)
    if as_json:
        output.print_json({**table.attrs, "rows": output.records(table)})
        return
    about = table.attrs
    _warn(about)
    output.say(
        output.wrapped(
            f"{about['cells_inside']} cells of {len(about['wells_inside'])} wells ({about['chosen']}) against "
            f"{about['cells_outside']} of {len(about['wells_outside'])}."
        )
    )
    held = about["held_out"]
    if about["folds"]:
        output.say(
            output.wrapped(
                f"On wells that were not looked at ({about['folds']} folds): all features together AUROC "
                f"{held['value']:.2f} [{held['low']:.2f}, {held['high']:.2f}], the best one alone "
                f"{about['held_out_best']:.2f}. The column auroc is in-sample; there is no p, since cells were picked."
            )
        )
    output.print_table(table.head(FEATURES))


def _write(table: Any, out: Path | None) -> None:
    if out is not None:
        from napari_phenolens.export import export_comparison

        export_comparison(table, out)
        typer.echo(f"The table: {out} (and what stands over it: {out.with_suffix('.json')})", err=True)


def _warn(about: Mapping[Any, Any]) -> None:
    for warning in about["warnings"]:
        output.say(output.wrapped(warning))


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r} are no features: give whole numbers, such as 17,40") from None
