"""Arguments and options that several commands take, each with one name and one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print the table as JSON, numbers in full.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run (what `run --out` wrote).")]
RunFolders = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs made with one lens.")]
Perturbed = Annotated[
    str, typer.Option("--perturbed", metavar="QUERY", help="Perturbed wells: a query over the map, or A12,B12.")
]
RunControls = Annotated[
    str | None, typer.Option("--controls", metavar="QUERY", help="Control wells; those of the run by default.")
]
PlateControls = Annotated[
    str | None, typer.Option("--controls", metavar="QUERY", help="Control wells: a query over the map, or A01,B01.")
]
OneWell = Annotated[str, typer.Option("--well", metavar="B07", help="The well.")]
OneField = Annotated[
    str | None, typer.Option("--field", metavar="1", help="The field: its name or 0-based place; the well's first.")
]
PlateFolder = Annotated[Path, typer.Argument(metavar="PLATE", help="The plate's folder.")]
PlateMap = Annotated[
    Path | None, typer.Option("--platemap", metavar="CSV", help="The plate map: a table with a row a well.")
]
EncoderName = Annotated[str | None, typer.Option("--encoder", metavar="NAME", help="See `phenolens encoders`.")]
WeightsFile = Annotated[
    Path | None, typer.Option("--weights", metavar="FILE", help="A file of the encoder's weights that you have.")
]
AcceptLicence = Annotated[
    bool, typer.Option("--accept-licence", help="Accept the licence of the encoder's weights, to download them.")
]
ChosenChannels = Annotated[
    str | None,
    typer.Option("--channels", metavar="DNA=Channel2,...", help="Channels to use, or names for the plate's own."),
]
Pattern = Annotated[
    str | None, typer.Option("--pattern", help="File name pattern of a folder of TIFFs, where it is not recognised.")
]
MethodName = Annotated[
    str | None,
    typer.Option("--method", metavar="icfl|nested|topk|batchtopk|mpsae", help="How the dictionary is learnt."),
]
WhiteningKind = Annotated[
    str | None,
    typer.Option("--whitening", metavar="pca|tvn|align|center|none", help="What the controls make of the tokens."),
]
StartLens = Annotated[
    Path | None, typer.Option("--start-lens", metavar="FILE", help="Start the dictionary from this lens's atoms.")
]
FitOn = Annotated[
    str | None, typer.Option("--fit-on", metavar="QUERY", help="Fit on these wells alone; the others are only coded.")
]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Training steps of the dictionary.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Of the dictionary and of the sample it learns from.")]
