"""The settings of the built-in segmentation for a run: its own, or with what the user wants otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_phenolens.cells import CellSegmentation
from napari_phenolens.progress import CancelCallback, check_cancelled
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.pixels import SAMPLE_FIELDS
from napari_phenolens.run.source import control_fields

if TYPE_CHECKING:
    from napari_phenolens.plate import Plate
    from napari_phenolens.run.reader import Run


def default_segmentation(
    run: Run,
    plate: Plate | None = None,
    *,
    nuclear: str | None = None,
    reach: float | None = None,
    cytoplasm: Sequence[str] | None = None,
    stiffness: float | None = None,
    smooth: float | None = None,
    by_stain: bool = False,
    cancel: CancelCallback | None = None,
) -> CellSegmentation:
    """Give the settings of the built-in segmentation for a run; see `CellSegmentation` for what each does.

    Parameters
    ----------
    run : Run
        The run: cells reach as far from their nucleus as its foreground does, and its other channels part them.
    plate : Plate, optional
        Its plate; asked for control fields where the foreground does not tell the reach, or for `by_stain`.
    nuclear : str, optional
        Another channel of the lens for the nuclei than its own.
    reach : float, optional
        Pixels from a nucleus that a cell may reach.
    cytoplasm : sequence of str, optional
        Channels that part touching cells.
    stiffness, smooth : float, optional
        What nearness counts against edges; sigma in pixels.
    by_stain : bool
        Whether cells end at the control wells' background of the `cytoplasm` channels too.
    cancel : callable, optional
        Asked between fields.

    Returns
    -------
    CellSegmentation

    Raises
    ------
    RunError
        Where the lens knows no nuclear channel and none is named, or a channel is not the lens's.
    CellsError
        Where control fields were asked and show no nuclei, or a number makes no sense.
    """
    lens = run.lens
    chosen = nuclear if nuclear is not None else lens.nuclear
    if chosen is None:
        raise RunError(
            f"{run.plate_name}: the lens knows no nuclear channel among {', '.join(lens.channels)}, so cells cannot be "
            "segmented; name it (nuclear=, `--nuclear`), or give labels of your own (labels=FOLDER, "
            "`phenolens cells RUN --labels FOLDER`)"
        )
    others = tuple(c for c in lens.channels if c != chosen) if cytoplasm is None else tuple(cytoplasm)
    unknown = [c for c in (chosen, *others) if c not in lens.channels]
    if unknown:
        raise RunError(f"{run.plate_name}: no channel {', '.join(unknown)}; the lens has {', '.join(lens.channels)}")
    rule = lens.foreground
    if reach is None and rule.kind == "nuclei" and rule.distance is not None and chosen == lens.nuclear:
        # the rule counts pixels of the resampled field, cells those of the plate's
        scale = float(run.field_table["scale"].median()) / run.patch
        reach = round(rule.distance * scale, 2)
    if reach is None or by_stain:
        plate = plate or run.plate()
        images = []
        for well, place in control_fields(plate, run.controls or run.wells, SAMPLE_FIELDS):
            check_cancelled(cancel)
            images.append(plate.wells[well].fields[place].read(list(run.channels)))
        made = CellSegmentation.fit(
            images, lens.channels, nuclear=chosen, cytoplasm=others, reach=reach, by_stain=by_stain,
            pixel_size=run.pixel_size, cancel=cancel,
        )  # fmt: skip
    else:
        made = CellSegmentation(chosen, reach, others, pixel_size=run.pixel_size)
    asked: dict[str, Any] = {"stiffness": stiffness, "smooth": smooth}
    return replace(made, **{name: value for name, value in asked.items() if value is not None})
