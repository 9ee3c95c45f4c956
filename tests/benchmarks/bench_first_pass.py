"""How long a big plate keeps its user waiting for the first, provisional table: 384 wells x 9 fields x 5 channels.

    python tests/benchmarks/bench_first_pass.py --folder FOLDER [--wells 384] [--fields 9] [--side 1080] [--keep]

A plate is generated from the demo plate's drawings: a few distinct fields of every condition, hard-linked to all
wells (so that reading comes from memory; every link counts as a field of its own for the engine), DNA, reporter and
actin as drawn, and two more channels made of these. The whole job (`run_plate`: fitting and applying a lens, nothing
stored before) runs over it until every well is in the provisional table, then on until a few wells are whole, and is
cancelled. Printed are the times of each step, what the table says of the planted conditions, and a projection of the
whole run from the time that the whole wells took. Compare on a quiet machine; what runs beside it makes all of it
longer, which is why CPU time stands beside.
"""

from __future__ import annotations

import argparse
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_phenolens.plate import well_name_of

BAR = 30 * 60.0
DISTINCT, PICTURES = 3, 8  # fields of a condition, and drawings that they are laid of
WHOLE = 4  # wells that are done whole, for the projection
CHANNELS = ("DNA", "Reporter", "Actin", "ER", "Mito")
CONDITIONS = ("negative", "translocator 3", "nuclei", "actin", "loss", "translocator 0.3", "translocator 1")


def draw_fields(side: int) -> dict[str, list[np.ndarray]]:
    """Lay drawings of the demo plate side by side, to fields ``(5, side, side)`` of every condition."""
    from scipy.ndimage import gaussian_filter

    from napari_phenolens.demo.phenotypes import CONDITIONS as KNOWN
    from napari_phenolens.demo.truth import picture

    rng = np.random.default_rng(0)
    fields: dict[str, list[np.ndarray]] = {}
    for name in CONDITIONS:
        drawn = [picture("D05", KNOWN[name], seed) for seed in range(PICTURES)]
        across = -(-side // drawn[0].shape[-1])
        fields[name] = []
        for _ in range(DISTINCT):
            turned = [
                [np.rot90(drawn[rng.integers(PICTURES)], rng.integers(4), (1, 2)) for _ in range(across)]
                for _ in range(across)
            ]
            rows = [np.concatenate(row, 2) for row in turned]
            three = np.concatenate(rows, 1)[:, :side, :side].astype(np.float32)
            soft = gaussian_filter(three[1:], (0, 2, 2))
            more = np.stack([(soft[0] + soft[1]) / 2, three[1] - soft[0] + soft[1]])
            fields[name].append(np.concatenate([three, more]).clip(0, 65535).astype(np.uint16))
    return fields


def write_plate(folder: Path, wells: int, fields: int, side: int) -> None:
    """Write the distinct fields and link them to all wells; a twelfth of the columns holds controls."""
    import tifffile

    folder.mkdir(parents=True)
    rng, drawn = np.random.default_rng(1), draw_fields(side)
    first: dict[tuple[str, int, str], Path] = {}
    columns, table = (24, []) if wells > 96 else (12, [])
    for i in range(wells):
        row, column = divmod(i, columns)
        well = well_name_of(row, column)
        name = CONDITIONS[0] if column % 12 == 0 else CONDITIONS[1 + (row + column) % (len(CONDITIONS) - 1)]
        table.append({"well": well, "control_type": "negcon" if column % 12 == 0 else "trt", "compound": name})
        for f in range(fields):
            which = int(rng.integers(DISTINCT))
            for c, channel in enumerate(CHANNELS):
                path = folder / f"{well}_f{f + 1}_{channel}.tif"
                made = first.setdefault((name, which, channel), path)
                if made is path:
                    tifffile.imwrite(path, drawn[name][which][c], resolution=(1 / 0.65,) * 2, imagej=True,
                                     metadata={"unit": "um"})  # fmt: skip
                else:
                    os.link(made, path)
    pd.DataFrame(table).to_csv(folder / "platemap.csv", index=False)


class Clock:
    """Notes when each step began, and how often it reported."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.steps: dict[str, list[float]] = {}

    def __call__(self, progress: Any) -> None:
        """Take a report."""
        now, work = self.now, time.process_time()
        if progress.stage not in self.steps:
            self.say()
        seen = self.steps.setdefault(progress.stage, [now, now, work, work, 0, 0])
        seen[1], seen[3], seen[4], seen[5] = now, work, progress.done, progress.total

    def say(self) -> None:
        """Print the step that has ended."""
        for stage, (begin, end, before, after, done, total) in list(self.steps.items())[-1:]:
            print(
                f"{stage:<12} {begin:6.0f} s {end:6.0f} s {after - before:6.0f} s   {done:.0f} of {total:.0f}",
                flush=True,
            )

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began


def state(out: Path) -> tuple[int, int]:
    """Give the wells with results and those that are whole."""
    import json

    marks = [json.loads(p.read_text()) for p in (out / "done").glob("*.json")] if out.exists() else []
    return len(marks), sum(not m["partial"] for m in marks)


def measure(plate_folder: Path, out: Path, tokens: Path, atoms: int) -> None:
    """Run until the table is there and some wells are whole."""
    from napari_phenolens import compare, open_plate, open_run
    from napari_phenolens.errors import Cancelled
    from napari_phenolens.progress import duration
    from napari_phenolens.run import run_plate

    plate = open_plate(plate_folder, plate_folder / "platemap.csv")
    clock, stop, failed, work_from = Clock(), threading.Event(), [], time.process_time()

    def work() -> None:
        try:
            run_plate(
                plate, out, controls="control_type == 'negcon'", atoms=atoms, tokens=tokens, device="cpu",
                progress=clock, cancel=stop.is_set,
            )  # fmt: skip
        except Cancelled:
            pass
        except BaseException as error:  # said below; a thread has nobody to tell
            failed.append(error)

    print("step            from      to    CPU", flush=True)
    thread = threading.Thread(target=work)
    thread.start()
    load: list[float] = []
    table_at = work_at = work_whole = 0.0
    whole_at = 0
    while thread.is_alive():
        time.sleep(0.5)
        load.append(os.getloadavg()[0])
        there, whole = state(out)
        if not table_at and there == len(plate.wells):
            table_at, whole_at, work_at = clock.now, whole, time.process_time() - work_from
            print(f"all wells have results after {table_at:.0f} s, {work_at:.0f} s of CPU time", flush=True)
            run = open_run(out)
            wells, provisional = len(run.profiles().dropna()), run.provisional
        if table_at and (whole >= whole_at + WHOLE or whole == len(plate.wells)):
            break
    work_whole = time.process_time() - work_from - work_at
    _, whole = state(out)
    stop.set()
    thread.join()
    if failed:
        raise SystemExit(f"the run failed: {failed[0]!r}")
    clock.say()
    said = "kept" if table_at <= BAR else "MISSED"
    print(
        f"provisional table of {wells} wells (marked so: {provisional}) after {duration(table_at)} ({table_at:.0f} s)"
    )
    print(f"   bar {duration(BAR)}: {said}; {work_at:.0f} s of CPU time, on two cores alone {work_at / 120:.0f} min")
    table = compare(open_run(out), "control_type == 'negcon'", "compound == 'translocator 3'").reset_index()
    lead = table[table["type"] == "feature"].iloc[0]
    print(f"its leading feature for the planted translocation: F{lead['feature']}, effect {lead['effect']:.1f}, "
          f"AUROC {lead['auroc']:.2f}")  # fmt: skip
    if whole > whole_at:
        each = work_whole / (whole - whole_at)
        rest = (work_at + each * (len(plate.wells) - whole_at)) / 2
        print(f"a whole well takes {each:.0f} s of CPU time: the whole run about {duration(rest)} on two cores alone")
    print(f"load of the machine while it ran: {np.mean(load):.1f} on {os.cpu_count()} cores (2.0 is this run alone)")


def main() -> None:
    """Generate and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for plate, tokens and run; up to 12 GB")
    parser.add_argument("--wells", type=int, default=384)
    parser.add_argument("--fields", type=int, default=9)
    parser.add_argument("--side", type=int, default=1080)
    parser.add_argument("--atoms", type=int, default=1024)
    parser.add_argument("--keep", action="store_true", help="keep run and tokens")
    asked = parser.parse_args()
    plate, out, tokens = (asked.folder / name for name in ("plate", "run", "tokens"))
    if not plate.exists():
        start = time.monotonic()
        write_plate(plate, asked.wells, asked.fields, asked.side)
        print(f"generated in {time.monotonic() - start:.0f} s", flush=True)
    for folder in (out, tokens):
        shutil.rmtree(folder, ignore_errors=True)
    measure(plate, out, tokens, asked.atoms)
    if not asked.keep:
        for folder in (out, tokens):
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
