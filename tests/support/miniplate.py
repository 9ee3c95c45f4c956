"""A small synthetic plate: eight wells, two channels, two fields with cells, planted differences; runs compared."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import tifffile
import zarr

from napari_phenolens.lens import load_lens

WELLS = ["A01", "A02", "B01", "B02", "C01", "C02", "D01", "D02"]
SHAPE = (168, 150)


def draw(rng, perturbed):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    dna, protein = (np.zeros(SHAPE) for _ in range(2))
    for _ in range(14):
        cy, cx = rng.uniform(8, SHAPE[0] - 8), rng.uniform(8, SHAPE[1] - 8)
        distance = np.hypot(y - cy, x - cx)
        nucleus, cell = distance < 7, distance < 15
        dna[nucleus] = 900
        bright = nucleus if perturbed else cell & ~nucleus
        protein[bright] = 700
    pixels = np.stack([dna, protein]) + 100 + rng.normal(0, 12, (2, *SHAPE))
    return np.clip(pixels, 0, 65535).astype(np.uint16)


def write_plate(folder, wells=WELLS, fields=2):
    folder.mkdir(parents=True, exist_ok=True)
    for w, well in enumerate(wells):
        for f in range(fields):
            image = draw(np.random.default_rng([w, f]), perturbed=well[0] in "CD")
            for name, plane in zip(("DNA", "GFP"), image, strict=True):
                tifffile.imwrite(folder / f"{well}_f{f + 1}_{name}.tif", plane)
    kind = ["negcon" if w[0] in "AB" else "poscon" for w in wells]
    pd.DataFrame({"well": wells, "control_type": kind}).to_csv(folder / "platemap.csv", index=False)
    return folder


SETTINGS = {"block": 1, "atoms": 48, "sparsity": (4, 2), "steps": 40, "device": "cpu"}
NEGATIVE = "control_type == 'negcon'"


def arrays_of(folder):
    found = {}
    for path in sorted(folder.rglob("zarr.json")):
        meta = json.loads(path.read_text())
        if meta.get("node_type") == "array":
            found[str(path.parent.relative_to(folder))] = zarr.open_array(path.parent, mode="r")[:]
    return found


def assert_same(one, other):
    a, b = arrays_of(one), arrays_of(other)
    assert set(a) == set(b) and len(a) >= 15
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    assert load_lens(one / "lens.safetensors").fingerprint == load_lens(other / "lens.safetensors").fingerprint
