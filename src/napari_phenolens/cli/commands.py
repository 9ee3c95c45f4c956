"""The commands of ``phenolens``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_phenolens.cli import arguments, output
from napari_phenolens.cli.blocks import blocks
from napari_phenolens.cli.card import card
from napari_phenolens.cli.cells import cells, subpopulations
from napari_phenolens.cli.concepts import concepts, distinguish
from napari_phenolens.cli.contrasts import contrasts, count_contrast
from napari_phenolens.cli.dose import dose, positions
from napari_phenolens.cli.encoders import accept, encoders
from napari_phenolens.cli.estimating import estimate_of
from napari_phenolens.cli.features import gallery, similar
from napari_phenolens.cli.lenses import compare_lenses, dictionary
from napari_phenolens.cli.naming import name
from napari_phenolens.cli.opening import opened_plate
from napari_phenolens.cli.options import (
    AcceptLicence,
    AsJson,
    ChosenChannels,
    EncoderName,
    FitOn,
    MethodName,
    OneField,
    OneWell,
    Pattern,
    Perturbed,
    PlateControls,
    PlateFolder,
    PlateMap,
    RunControls,
    RunFolder,
    RunFolders,
    Seed,
    StartLens,
    Steps,
    WeightsFile,
    WhiteningKind,
)
from napari_phenolens.cli.outcome import cancel_on_interrupt, exit_codes, warn
from napari_phenolens.cli.phenotype import phenotype
from napari_phenolens.cli.plate_map import platemap
from napari_phenolens.cli.progress import show_progress
from napari_phenolens.cli.regions import region
from napari_phenolens.cli.report import report

if TYPE_CHECKING:
    import pandas as pd

    from napari_phenolens.run import Run

app = typer.Typer(
    name="phenolens",
    help="See what a microscopy foundation model sees in a screening plate: sparse features, ranked and mapped.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# The columns of a comparison that fit a screen; --json and --out have all of them.
COMPARED = (
    "feature",
    "name",
    "effect",
    "effect_low",
    "effect_high",
    "hedges_g",
    "robust_z",
    "zprime",
    "auroc",
    "p",
    "q",
    "density",
    "group",
    "technical",
    "count_linked",
)


EXPLAINED = ("feature", "activation", "alignment", "cosine", "share", "percentile", "well_z")


@app.callback(invoke_without_command=True)
def phenolens(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """Say the version where it is asked for."""
    if version:
        from napari_phenolens import __version__

        output.say(f"napari-phenolens {__version__}")
        raise typer.Exit


@app.command()
@exit_codes
def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to put everything.")] = Path("phenolens-demo"),
    as_json: AsJson = False,
) -> None:
    """Tell the whole story on a small plate whose truth is known: draw it, run, compare, map. Needs no network."""
    from napari_phenolens.cli.demo import tell

    tell(folder, as_json)


@app.command()
@exit_codes
def info(
    plate_folder: PlateFolder,
    platemap: PlateMap = None,
    pattern: Pattern = None,
    estimated: Annotated[
        bool, typer.Option("--estimate", help="Say too what a run would take, from a short try on this machine.")
    ] = False,
    encoder: Annotated[
        str, typer.Option("--encoder", metavar="NAME", help="With --estimate: the encoder.")
    ] = "camae-micro",
    device: Annotated[str, typer.Option("--device", help="With --estimate: where the encoder runs.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Say what a plate holds: layout, channels, wells, fields, and the columns of its map."""
    plate = opened_plate(plate_folder, platemap, pattern)
    rows, columns = plate.format
    wells = list(plate.wells.values())
    counts = sorted({len(well.fields) for well in wells})
    first = wells[0].fields[0] if wells else None
    facts: dict[str, Any] = {
        "name": plate.name,
        "path": str(plate.path),
        "layout": plate.layout,
        "channels": list(plate.channels),
        "channel_labels": dict(plate.channel_labels),
        "format": rows * columns,
        "wells": len(wells),
        "fields": sum(len(well.fields) for well in wells),
        "fields_per_well": counts,
        "field_shape": None if first is None else list(first.shape),
        "dtype": None if first is None else str(first.dtype),
        "pixel_size_um": plate.pixel_size,
        "metadata": {str(name): _values(plate.metadata[name].dropna()) for name in plate.metadata.columns},
        "warnings": list(plate.warnings),
    }
    guess = None
    if estimated:
        from napari_phenolens.run import estimate

        with cancel_on_interrupt() as cancel, show_progress(output.console(stderr=True)) as progress:
            guess = estimate(plate, encoder=encoder, device=device, progress=progress, cancel=cancel)
        facts["estimate"] = {"tiles": guess.tiles, "seconds": guess.seconds, "bytes": guess.bytes}
    if as_json:
        output.print_json(facts)
        return
    shape = "" if first is None else f", {first.shape[0]} x {first.shape[1]} px, {first.dtype}"
    labels = plate.channel_labels
    named = ", ".join(f"{name} ({labels[name]})" if name in labels else name for name in plate.channels)
    per_well = " to ".join(str(count) for count in sorted({*counts[:1], *counts[-1:]}))
    pixel = "unknown" if plate.pixel_size is None else f"{plate.pixel_size:.4g} um"
    output.say(f"{plate.name} ({plate.layout}) at {plate.path}")
    output.say(f"channels   {named}")
    output.say(f"wells      {len(wells)} with images of a {rows * columns}-well plate")
    output.say(f"fields     {facts['fields']}, {per_well} a well{shape}")
    output.say(f"pixel size {pixel}")
    if guess is not None:
        output.say(f"a run      {guess} (and learning the features)")
    columns_of_map = [{"column": name, "values": values} for name, values in facts["metadata"].items()]
    if columns_of_map:
        output.print_rows(columns_of_map, ["column", "values"], title="plate map")


def _values(column: Any) -> str:
    """Say what a column of the plate map holds: its values and how many wells have each, or the first of many."""
    counts = column.value_counts(sort=False)
    each = counts.max() > 1
    shown = counts.head(8 if each else 3)
    said = ", ".join(
        f"{output.cell(value)} ({count})" if each else output.cell(value) for value, count in shown.items()
    )
    return said + (f", ... ({len(counts)} values)" if len(counts) > len(shown) else "")


@app.command()
@exit_codes
def run(
    plate_folder: PlateFolder,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder for the results.")],
    platemap: PlateMap = None,
    controls: PlateControls = None,
    lens: Annotated[Path | None, typer.Option("--lens", metavar="FILE", help="Apply this lens; fit none.")] = None,
    encoder: EncoderName = None,
    block: Annotated[int | None, typer.Option("--block", help="The encoder's block whose tokens are used.")] = None,
    weights: WeightsFile = None,
    accept_licence: AcceptLicence = False,
    unit: Annotated[
        str | None, typer.Option("--unit", metavar="patch|crop|cell", help="What the dictionary is learnt on.")
    ] = None,
    atoms: Annotated[int | None, typer.Option("--atoms", help="Number of features.")] = None,
    sparsity: Annotated[
        str | None, typer.Option("--sparsity", metavar="J,L", help="Rounds, and atoms a round.")
    ] = None,
    method: MethodName = None,
    whitening: WhiteningKind = None,
    start_lens: StartLens = None,
    fit_on: FitOn = None,
    steps: Steps = None,
    seed: Seed = None,
    channels: ChosenChannels = None,
    tokens: Annotated[Path | None, typer.Option("--tokens", metavar="DIR", help="Where tokens are kept.")] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="auto|cpu|cuda|cuda:1|mps", help="Where the encoder runs.")
    ] = "auto",
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Tiles of one forward; found if not given.")
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="auto|float32|float16|bfloat16", help="Of the forward on a GPU.")
    ] = "auto",
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the encoder with torch.compile.")] = False,
    pattern: Pattern = None,
) -> None:
    """Fit a lens on the control wells (or take one) and apply it to the whole plate.

    The same command goes on where an earlier one was stopped, and does nothing where all is done.
    """
    if controls is None and lens is None:
        raise typer.BadParameter("give --controls QUERY to fit a lens, or --lens FILE to apply one")
    from napari_phenolens import load_lens
    from napari_phenolens.run import run_plate

    chosen: dict[str, Any] = {
        "encoder": encoder,
        "block": block,
        "weights": weights,
        "unit": unit,
        "atoms": atoms,
        "sparsity": arguments.sparsity(sparsity),
        "method": method,
        "whitening": whitening,
        "start": start_lens,
        "fit_on": fit_on,
        "steps": steps,
        "seed": seed,
        "channels": arguments.channels(channels),
        "tokens": tokens,
        "controls": controls,
        "lens": lens,
    }
    engine: dict[str, Any] = {"device": device}
    if batch is not None:
        engine["batch"] = batch
    if precision != "auto":
        engine["precision"] = precision
    if compiled:
        engine["compiled"] = True
    plate = opened_plate(plate_folder, platemap, pattern)
    if plate.pixel_size is None:
        warn("the pixel size is unknown: fields are taken as they are, and so must be those of any plate of this lens")
    settings = {name: value for name, value in chosen.items() if value is not None}
    if accept_licence:
        accept(encoder if lens is None else str(load_lens(lens).encoder))
    if not (out / "run.json").exists():
        with cancel_on_interrupt() as cancel, show_progress(output.console(stderr=True)) as progress:
            said = estimate_of(plate, {**engine, **settings}, progress, cancel)
        output.console(stderr=True).print(said, markup=False)
    with cancel_on_interrupt() as cancel, show_progress(output.console(stderr=True)) as progress:
        done = run_plate(plate, out, progress=progress, cancel=cancel, **engine, **settings)
    say_run(done, out)


def say_run(done: Run, out: Path) -> None:
    """Say where a run lies, what it holds, and what to type next."""
    if done.already_complete:
        output.say(f"Nothing to do: {out} is complete and was made with these settings.")
    else:
        state = "a provisional first pass" if done.provisional else "complete"
        output.say(f"Done: {out} ({state}; {len(done.wells)} wells, {done.n_features} features).")
    if len(done.skipped):
        warn(f"{len(done.skipped)} fields were skipped, for example {_first_skipped(done)}")
    output.say("Next:")
    output.say(
        f'  phenolens compare {out} --perturbed "QUERY"    rank the features between control and perturbed wells'
    )
    output.say(f"  napari --plugin napari-phenolens {out}    look at them on the cells")


def _first_skipped(done: Run) -> str:
    row = done.skipped.iloc[0]
    return f"{row['well']} {row['field']}: {row['reason']}"


@app.command()
@exit_codes
def compare(
    runs: RunFolders,
    perturbed: Perturbed,
    controls: RunControls = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="CSV", help="Write the whole table here.")] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many features to print.")] = 15,
    picked_after: Annotated[
        bool, typer.Option("--picked-after", help="Wells were picked after seeing features: give no p and no q.")
    ] = False,
    how: Annotated[bool, typer.Option("--how", help="Say how it was tested, and what that assumes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rank the features between control and perturbed wells; the well is the unit."""
    from napari_phenolens import compare as compare_runs
    from napari_phenolens import open_run

    opened = [open_run(path) for path in runs]
    table = compare_runs(opened, controls=controls, perturbed=perturbed, picked_after=picked_after)
    count_contrast(opened, table, f"{perturbed} against {controls or 'the controls'}")
    if out is not None:
        from napari_phenolens.export import export_comparison

        export_comparison(table, out)
    if as_json:
        output.print_json({**table.attrs, "rows": output.records(table)})
        return
    say_comparison(table, top)
    if how:
        from napari_phenolens.analysis import how_tested

        for heading, text in how_tested(table.attrs):
            output.say(output.wrapped(f"{heading}. {text}"))
    if out is not None:
        output.say(
            f"All {len(table)} rows, with every column: {out} (and what stands over them: {out.with_suffix('.json')})"
        )


def say_comparison(table: pd.DataFrame, top: int) -> None:
    """Print what stands over a comparison, its leading features, and the plain measurements beside them."""
    for warning in table.attrs["warnings"]:
        output.say(output.wrapped(warning))
    features = table["type"] == "feature"
    output.print_table(table[features].head(top), COMPARED)
    output.print_table(table[~features].head(5).rename_axis("covariate"), ("covariate", *COMPARED))


@app.command()
@exit_codes
def explain(
    run_folder: RunFolder,
    well: OneWell,
    at: Annotated[str, typer.Option("--at", metavar="Y,X", help="The place, in pixels of the field.")],
    field: OneField = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many features to print.")] = 15,
    as_json: AsJson = False,
) -> None:
    """Say which features the model sees at one place of a field."""
    from napari_phenolens import explain as explain_place
    from napari_phenolens import open_run

    opened = open_run(run_folder)
    table = explain_place(opened, well, field, at=arguments.position(at))
    if as_json:
        output.print_json({**table.attrs, "rows": output.records(table)})
        return
    for note in table.attrs["notes"]:
        output.say(output.wrapped(note))
    output.print_table(table.head(top), EXPLAINED)


@app.command()
@exit_codes
def heatmap(
    run_folder: RunFolder,
    well: OneWell,
    feature: Annotated[int, typer.Option("--feature", min=0, help="The feature: its 0-based atom.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.tif", help="The TIFF to write, one pixel a patch.")],
    field: OneField = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", metavar="activation|alignment|cosine", help="What to map; activation, of a channel alignment."
        ),
    ] = None,
    stride: Annotated[
        int | None, typer.Option("--stride", metavar="PX", min=1, help="Pixels between patches, for a finer map.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", metavar="DNA", help="What this channel gives to the alignment.")
    ] = None,
) -> None:
    """Write one feature's heatmap of one field as a float32 TIFF, its scale and place in the field beside it."""
    from napari_phenolens import heatmap as heatmap_of
    from napari_phenolens import open_run
    from napari_phenolens.export import export_heatmap

    opened = open_run(run_folder)
    kind = kind if kind is not None else "activation" if channel is None else "alignment"
    mapped = heatmap_of(opened, well, field, feature, kind=kind, stride=stride, channel=channel)
    export_heatmap(mapped, out, pixel_size=opened.pixel_size, plate=opened.plate_name)
    h, w = mapped.values.shape
    output.say(f"{out}: {h} x {w} patches, one every {mapped.scale[0]:g} px, the first at {mapped.translate[0]:g} px")


@app.command()
@exit_codes
def export(
    run_folder: RunFolder,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write.")],
    file_format: Annotated[str, typer.Option("--format", metavar="parquet|h5ad|csv", help="Its format.")],
) -> None:
    """Write the profiles of all wells, with the plate map and covariates, as one table."""
    from napari_phenolens import open_run
    from napari_phenolens.export import export_tables

    output.say(str(export_tables(open_run(run_folder), out, file_format)))


app.command()(blocks)
app.command()(cells)
app.command()(card)
app.command()(compare_lenses)
app.command()(concepts)
app.command()(contrasts)
app.command()(distinguish)
app.command()(dose)
app.command()(encoders)
app.command()(gallery)
app.command()(name)
app.command()(similar)
app.command()(phenotype)
app.command()(platemap)
app.command()(positions)
app.command()(region)
app.command()(report)
app.command()(subpopulations)
app.add_typer(dictionary)
