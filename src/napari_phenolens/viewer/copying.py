"""Copy as Python: a script of public functions that gives what is seen."""

from __future__ import annotations

import pprint
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_phenolens.errors import PhenoLensError
from napari_phenolens.viewer.copying_cells import cell_lines
from napari_phenolens.viewer.images import role_of
from napari_phenolens.viewer.overlays import overlay_name
from napari_phenolens.viewer.session import PHENOTYPE, SlotState
from napari_phenolens.viewer.settings import preferences
from napari_phenolens.viewer.slots import CHANNEL

if TYPE_CHECKING:
    from napari_phenolens.viewer.workbench import Workbench

WIDTH = 100
_PLAIN = {"pattern": None, "z": "max", "t": 0}


def as_python(bench: Workbench) -> str:
    """Write the script that gives what a viewer's user sees.

    Parameters
    ----------
    bench : Workbench
        See `napari_phenolens.viewer.workbench.workbench_for`.

    Returns
    -------
    str
        Python: opens plate and run, compares the same wells, maps the features of the slots over the field on show
        (over every field of the well where all are shown) and shows them in napari in the same colours and limits.

    Raises
    ------
    PhenoLensError
        Where nothing is open.
    """
    s = bench.session
    if s.source is None:
        raise PhenoLensError("nothing is open that could be written as Python; open a plate or a run first (step 1)")
    lines = [f"# {_heading(bench)}", "import napari", "", "import napari_phenolens as ph", ""]
    if s.run is not None:
        lines.append(f"run = ph.open_run({str(Path(s.run.path).resolve())!r})")
    if s.plate is not None:
        lines.append(f"plate = {_plate(bench)}")
    lines += _comparison(bench)
    if s.run is not None:
        lines += cell_lines(bench, _names)
    lines += _region(bench)
    if s.well is not None:
        lines += ["", f"well = {s.well!r}", *_heatmaps(bench), *_viewer(bench)]
    return "\n".join(lines) + "\n"


def _heading(bench: Workbench) -> str:
    s = bench.session
    name = getattr(s.source, "name", "") or getattr(s.source, "plate_name", "")
    shown = [overlay_name(slot.feature, slot.kind) for slot in s.slots if slot.feature is not None]
    words = [f"What PhenoLens shows: plate {name}"]
    words += [f"well {s.well}"] if s.well is not None else []
    words += [f"features {', '.join(shown)}"] if shown else []
    return ", ".join(words) + "."


def _plate(bench: Workbench) -> str:
    """Open the plate as it was opened: by its run, or from its folder with the map."""
    plate, run, table = bench.session.plate, bench.session.run, bench.opening.platemap
    path = str(Path(plate.path).resolve())
    if table is None and run is not None and str(Path(run.plate_path).resolve()) == path:
        return "run.plate()  # the folder that it was made from, with the run's plate map"
    options = {name: value for name, value in dict(getattr(plate, "options", {})).items() if value != _PLAIN.get(name)}
    given = [repr(path)] + ([repr(str(Path(table).resolve()))] if table is not None else [])
    return f"ph.open_plate({', '.join([*given, *(f'{name}={value!r}' for name, value in options.items())])})"


def _comparison(bench: Workbench) -> list[str]:
    comparison = bench.session.comparison
    if comparison is None:
        return []
    picked = bool(comparison.about.get("picked_after", False))
    return [
        "",
        f"# {' '.join(comparison.name.split()) or 'The comparison'}: all features, ranked.",
        f"controls = {_names(comparison.controls)}",
        f"perturbed = {_names(comparison.perturbed)}",
        "table = ph.compare(run, controls=controls, perturbed=perturbed"
        + (", picked_after=True)  # picked after features were seen: no p" if picked else ")"),
        "print(table.head(10))",
    ]


def _region(bench: Workbench) -> list[str]:
    """Compare the region whose features are listed."""
    about = getattr(bench.session.explanation, "attrs", {})
    if "region" not in about:
        return []
    drawn = pprint.pformat(about["region"], width=WIDTH, compact=True)
    return [
        "",
        "# What tells the patches of a drawn region from others: drawn after looking, so there is no p.",
        f"region = {drawn}",
        f"print(ph.region_features(run, region, against={about['against']!r}).head(20))",
    ]


def _heatmaps(bench: Workbench) -> list[str]:
    s = bench.session
    filled = [slot for slot in s.slots if _told(bench, slot)]
    several = s.view == "well"
    lines = [] if several else [f"field = {s.field_name!r}"]
    if s.run is None or not filled or s.well not in s.run.wells:
        return lines
    lines += ["", "# The heatmaps by name; .values holds one number a patch."]
    for feature in sorted({slot.feature for slot in filled if slot.kind == PHENOTYPE and slot.feature is not None}):
        lines.append(f"phenotype_{feature} = ph.phenotype(run, controls, perturbed, feature={feature})")
    lines.append("heatmaps = {")
    for slot in filled:
        if several:
            entry = f"{{field: {_heatmap(bench, slot)} for field in run.fields(well)}}"
        else:
            entry = _heatmap(bench, slot)
        lines.append(f"    {overlay_name(slot.feature or 0, slot.kind)!r}: {entry},")
    return [*lines, "}"]


def _told(bench: Workbench, slot: SlotState) -> bool:
    """Whether a slot's heatmap can be made again: a phenotype is one of a comparison."""
    return slot.feature is not None and (slot.kind != PHENOTYPE or bench.session.comparison is not None)


def _heatmap(bench: Workbench, slot: SlotState) -> str:
    if slot.kind == PHENOTYPE:
        return f"phenotype_{slot.feature}.heatmap(run, well, field)"
    more = ""
    if slot.kind.startswith(CHANNEL):
        more = f", kind='alignment', channel={slot.kind.removeprefix(CHANNEL)!r}"
    elif slot.kind != "activation":
        more = f", kind={slot.kind!r}"
    run, parts = bench.session.run, preferences().fineness
    if parts != 1 and run.unit == "patch" and run.lens.patch % parts == 0:
        more += f", stride={int(run.lens.patch) // parts}"
    return f"ph.heatmap(run, well, field, {slot.feature}{more})"


def _viewer(bench: Workbench) -> list[str]:
    """Show one field as it is on the canvas: colours, limits and opacity are those of the layers."""
    s = bench.session
    lines = ["", "viewer = napari.Viewer()"]
    if s.view == "well":
        lines.append("field = plate.wells[well].fields[0].name  # the panel lays all fields of the well together")
    size = getattr(s.plate, "pixel_size", None) or getattr(s.run, "pixel_size", None) or 1.0
    if s.plate is not None:
        for layer in bench.images.layers:
            channel = (role_of(layer) or ("", ""))[1]
            look = {
                "name": layer.name,
                "colormap": layer.colormap.name,
                "contrast_limits": _pair(layer.contrast_limits),
                "blending": "additive",
                "opacity": round(float(layer.opacity), 3),
                "visible": bool(layer.visible),
                "scale": (size, size),
            }
            lines += _call(f"plate.field(well, field).read([{channel!r}])[0]", look)
    shown = [
        (i, slot, bench.slots.layer(i))
        for i, slot in enumerate(s.slots)
        if _told(bench, slot) and s.run is not None and s.well in s.run.wells
    ]
    if shown:
        lines.insert(0, "")
        lines.insert(1, "from napari_phenolens.viewer.slots import ramp  # the slots' colours, clear at zero")
    for index, slot, layer in shown:
        name = overlay_name(slot.feature or 0, slot.kind)
        heat = f"heatmaps[{name!r}]" + ("[field]" if s.view == "well" else "")
        look = {"name": name, "blending": "translucent_no_depth"}
        if layer is not None:
            look["contrast_limits"] = _pair(layer.contrast_limits)
            look["opacity"] = round(float(layer.opacity), 3)
        literal = {
            "colormap": f"ramp({index}, {slot.kind!r}, {bench.slots.negative!r})",
            "scale": f"[side * {size!r} for side in {heat}.scale]",
            "translate": f"[start * {size!r} for start in {heat}.translate]",
        }
        lines += _call(f"{heat}.values", look, literal)
    return [*lines, "napari.run()"]


def _call(data: str, look: Mapping[str, Any], literal: Mapping[str, str] | None = None) -> list[str]:
    options = {**{name: repr(value) for name, value in look.items()}, **(literal or {})}
    return ["viewer.add_image(", f"    {data},", *(f"    {name}={value}," for name, value in options.items()), ")"]


def _pair(limits: Sequence[float]) -> tuple[float, float]:
    return float(limits[0]), float(limits[1])


def _names(wells: Sequence[str]) -> str:
    return pprint.pformat(list(wells), width=WIDTH, compact=True)
