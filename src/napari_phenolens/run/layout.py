"""How a run lies on disk (design section 7): a plan in JSON, arrays in zarr, one shard and one mark a well.

A run is a folder::

    run.json          schema, plan, plate, channels, numbers of the pixel rule, controls, lens fingerprint
    lens.safetensors  the lens
    platemap.csv      the plate map as it was
    done/B07.json     the mark of a well that was written whole: its fields, covariates, what was skipped and why
    codes/ patches/ fields/ wells/   zarr arrays; every well's part is one shard (one file) of each

Fields of a well take `fields` slots of `patches` rows each, so that a well's part lies at a fixed place whatever the
order in which wells are done.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from napari_phenolens.run import arrays
from napari_phenolens.run.arrays import Arrays, Layout
from napari_phenolens.run.errors import RunError
from napari_phenolens.run.json_file import write_json
from napari_phenolens.run.sketch import ACTIVATION_BINS, ALIGNMENT_BINS

SCHEMA = 1
PLATEMAP_INDEX = "phenolens_well"  # column of platemap.csv that names the wells, whatever the map calls its own
BEST = 4  # best examples of a feature kept for each well


@dataclass(frozen=True)
class RunPlan:
    """What a run is of: decided once, before the first well.

    Attributes
    ----------
    lens : str
        Fingerprint of the lens.
    unit : str
        What is coded: ``patch``, ``crop`` or ``cell``.
    plate : dict
        Name, path, plate map, pattern, z and t of the plate, to open it again.
    wells : tuple of str
        The wells in the order of their shards.
    fields : int
        Slots for fields of a well.
    patches : int
        Rows of a field's slot: patches or crops, or as many cells as patches hold.
    features, k, dim : int
        Atoms, codes a patch, width of a whitened token.
    sources : tuple of str
        The plate's channel for each channel of the lens.
    normalisation : dict
        Numbers of the pixel rule on this plate.
    controls : tuple of str
        Control wells of this plate.
    recentre : bool
        Whether whitened tokens are re-centred on this plate's own controls.
    tokens : str
        Key of the token store; empty where none is kept.
    tokens_folder : str
        Where token stores lie.
    pixel_size : float or None
        um per pixel of this plate's fields.
    first_pass : int
        Fields of a well in the first, provisional pass; 0: there is one pass.
    """

    lens: str
    unit: str
    plate: dict[str, Any]
    wells: tuple[str, ...]
    fields: int
    patches: int
    features: int
    k: int
    dim: int
    sources: tuple[str, ...]
    normalisation: dict[str, Any]
    controls: tuple[str, ...]
    recentre: bool
    tokens: str
    tokens_folder: str
    pixel_size: float | None
    first_pass: int = 0
    schema: int = SCHEMA
    extra: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write the plan to ``run.json``."""
        write_json(folder / "run.json", asdict(self))

    @classmethod
    def load(cls, folder: Path) -> RunPlan:
        """Read the plan.

        Raises
        ------
        RunError
            Where the folder is no run, its plan is damaged, or a newer version wrote it.
        """
        path = folder / "run.json"
        if not path.is_file():
            raise RunError(f"{folder}: no run here (no run.json); give the folder that `phenolens run --out` wrote")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["schema"] > SCHEMA:
                raise RunError(f"{folder}: written by a newer napari-phenolens (schema {values['schema']}); update it")
            values |= {k: tuple(values[k]) for k in ("wells", "sources", "controls")}
            return cls(**values)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise RunError(f"{path}: damaged plan ({error}); run again into a new folder") from error


def _layouts(plan: RunPlan) -> dict[str, Layout]:
    n, f, m = plan.patches, plan.fields, plan.features
    index = "uint16" if m <= 65536 else "uint32"
    patches: dict[str, tuple[str, tuple[int, ...]]] = {
        "codes/index": (index, (plan.k,)),
        "codes/value": ("float16", (plan.k,)),
        "patches/strength": ("float16", ()),
        "patches/foreground": ("bool", ()),
    }
    if plan.unit == "cell":
        patches["patches/owner"] = ("int32", ())
    fields: dict[str, tuple[str, tuple[int, ...]]] = {
        "fields/sum": ("float32", (m,)),
        "fields/active": ("uint32", (m,)),
        "fields/max": ("float32", (m,)),
        "fields/token": ("float32", (plan.dim,)),
    }
    wells: dict[str, tuple[str, tuple[int, ...]]] = {
        "wells/activation_histogram": ("uint32", (m, ACTIVATION_BINS)),
        "wells/alignment_histogram": ("uint32", (m, ALIGNMENT_BINS)),
        "wells/best_value": ("float32", (m, BEST)),
        "wells/best_place": ("int32", (m, BEST)),
        "wells/cell_sum": ("float32", (m,)),
        "wells/cell_active": ("float32", (m,)),
        "wells/cell_token": ("float32", (plan.dim,)),
    }
    sizes = ((patches, n, f * n), (fields, f, f), (wells, 1, 1))  # rows of a chunk (a field's, a well's), of a well
    return {
        name: (dtype, (chunk, *axes), (shard, *axes))
        for group, chunk, shard in sizes
        for name, (dtype, axes) in group.items()
    }


def create_arrays(folder: Path, plan: RunPlan) -> None:
    """Create the run's empty arrays."""
    arrays.create(folder, max(1, len(plan.wells)), _layouts(plan))


def open_arrays(folder: Path, plan: RunPlan, mode: str = "r") -> Arrays:
    """Open the run's arrays by name.

    Raises
    ------
    RunError
        Where one is missing or damaged.
    """
    return arrays.open_all(folder, _layouts(plan), mode, "run again into a new folder")


def well_rows(plan: RunPlan, name: str, well: int) -> slice:
    """Give a well's rows in an array."""
    shard = _layouts(plan)[name][2][0]
    return slice(well * shard, (well + 1) * shard)
