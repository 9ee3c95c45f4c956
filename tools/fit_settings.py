"""Lenses of BBBC013 with other settings of the dictionary, for ``report_settings.py``; fitted once, profiles kept."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from report_bbbc013 import NEGATIVE, ROWS

from napari_phenolens import fit_lens, open_plate
from napari_phenolens.encoders import load_encoder
from napari_phenolens.lens import Lens
from napari_phenolens.plate import Plate
from napari_phenolens.run import stream as streaming
from napari_phenolens.run.bench import Bench
from napari_phenolens.run.engine import Engine
from napari_phenolens.run.field_tokens import TokenSettings
from napari_phenolens.run.source import TokenSource

Say = Callable[[str], None]


@dataclass(frozen=True)
class Setting:
    """What differs from the default; `fit_on` names the rows that the lens was fitted on, empty for all."""

    method: str = "icfl"
    whitening: str = "pca"
    unit: str = "patch"
    fit_on: str = ""

    @property
    def name(self) -> str:
        """Name its files and rows."""
        parts = [self.method, self.whitening, self.unit]
        return "-".join(parts + ([self.fit_on] if self.fit_on else []))

    def options(self) -> dict[str, Any]:
        """Give what `fit_lens` takes."""
        asked = {"method": self.method, "whitening": self.whitening, "unit": self.unit}
        return asked | ({"fit_on": ROWS[self.fit_on]} if self.fit_on else {})


DEFAULT = Setting()
SETTINGS = tuple(
    Setting(method, whitening, unit)
    for unit in ("patch", "crop")
    for whitening in ("pca", "center")
    for method in ("icfl", "topk")
)
LEFT_OUT = Setting(fit_on="Wortmannin")  # fitted on rows A-D alone


def fit_all(args: argparse.Namespace, say: Say) -> None:
    """Fit what is not there yet, seed by seed."""
    plate = open_plate(args.plate, args.platemap)
    streaming.look = remembered(streaming.look)  # fifty lenses of one plate look at the same pixels
    wanted = [s for s in (*SETTINGS, LEFT_OUT) if not args.only or s.name in args.only]
    for seed in range(args.first_seed, args.seeds):
        for setting in wanted:
            target = args.work / f"{setting.name}-{seed}.npz"
            if target.exists():
                continue
            started = time.process_time()
            lens = fit_lens(
                plate, NEGATIVE, seed=seed, steps=args.patch_steps if setting.unit == "patch" else None,
                tokens=args.tokens, device="cpu",
                checkpoint=args.work / f"{setting.name}-{seed}.fit", **setting.options(),
            )  # fmt: skip
            profiles = profiles_of(lens, plate, args.tokens)
            facts = {
                **lens.facts["held_out"],
                "steps": lens.dictionary.settings["steps"],
                "rows": lens.facts["dictionary_tokens"],
                "control_tokens": lens.facts["control_tokens"],
                "components": lens.whitening.p,
                "cpu_seconds": round(time.process_time() - started),
                "fingerprint": lens.fingerprint,
            }
            keep(target, profiles, facts)
            lens.save(args.work / f"{setting.name}-{seed}.safetensors")
            (args.work / f"{setting.name}-{seed}.fit").unlink(missing_ok=True)
            say(f"{setting.name:32} seed {seed}  {json.dumps(facts)}")


def remembered(look: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what was seen of each field under each foreground rule."""
    known: dict[Any, Any] = {}

    def look_once(field: Any, settings: TokenSettings, rules: Any) -> Any:
        key = tuple(map(str, field.files)), settings, rules.nuclear, json.dumps(rules.foreground.to_dict(), default=str)
        if key not in known:
            known[key] = look(field, settings, rules)
        return known[key]

    return look_once


def profiles_of(lens: Lens, plate: Plate, tokens: Path) -> pd.DataFrame:
    """Give the wells' mean activations over foreground, as a run's profiles are, without writing a run."""
    settings = TokenSettings(
        lens.channels, lens.channels, lens.channel_pooling, lens.patch, lens.tile, lens.margin, lens.pixel_size,
        lens.normalisation,
    )  # fmt: skip
    engine = Engine(partial(_encoder, lens), "cpu")
    source = TokenSource(plate, settings, engine, (lens.encoder, lens.encoder_sha256, lens.block), folder=tokens)
    bench = Bench(plate, [], settings, source)
    places = [(name, i) for name, well in plate.wells.items() for i in range(len(well.fields))]
    sums = pd.DataFrame(0.0, index=list(plate.wells), columns=range(lens.n_features))
    counts = pd.Series(0, index=sums.index)
    for well, place, seen in streaming.stream(bench, places, lens, lens.whitening.group_offset):
        if isinstance(seen, Exception):
            raise RuntimeError(f"{well} field {place}: {seen}")
        rows = seen.units.tokens[seen.units.foreground]
        index, value = lens.dictionary.encode(lens.whitening(rows))
        found: npt.NDArray[Any] = np.bincount(index.ravel(), value.ravel(), minlength=lens.n_features)
        sums.loc[well] += found
        counts[well] += len(rows)
    return sums.div(counts, axis=0)


def _encoder(lens: Lens, where: str) -> Any:
    return load_encoder(lens.encoder, device=where, block=lens.block)


def keep(target: Path, profiles: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Write a result, at once or not at all."""
    scratch = target.with_name(f".{target.name}")
    with scratch.open("wb") as file:
        np.savez_compressed(
            file,
            values=profiles.to_numpy(np.float32),
            wells=np.array(list(profiles.index), dtype=str),
            facts=json.dumps(facts),
        )
    os.replace(scratch, target)
