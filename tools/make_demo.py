"""Make the demo's finished run, which comes with the package: the very run that `phenolens demo` makes.

    python tools/make_demo.py

Writes ``src/napari_phenolens/demo/data/run.zip`` (at most 5 MB). Run it again whenever the generator, the default
encoder, the lens format or the run's layout changes; a test compares it with the code.
"""

from __future__ import annotations

import argparse
import tempfile
import zipfile
from pathlib import Path

from napari_phenolens import open_plate
from napari_phenolens.demo import DEMO_CONTROLS, DEMO_SETTINGS, write_demo_plate
from napari_phenolens.run import run_plate

MOST = 5 * 2**20
LEFT_OUT = ("fit", ".lock")  # checkpoints and the lock are of no use to a finished run


def make(target: Path) -> int:
    """Run the demo plate and pack the run; give the size in bytes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plate = open_plate(write_demo_plate(folder / "plate"), folder / "plate" / "platemap.csv")
        run = run_plate(plate, folder / "run", controls=DEMO_CONTROLS, tokens=folder / "tokens", **DEMO_SETTINGS)
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in sorted(run.path.rglob("*")):
                inside = path.relative_to(run.path)
                if path.is_file() and inside.parts[0] not in LEFT_OUT:
                    # A fixed time keeps the archive the same where its contents are.
                    entry = zipfile.ZipInfo(inside.as_posix(), (2026, 1, 1, 0, 0, 0))
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    archive.writestr(entry, path.read_bytes())
    size = target.stat().st_size
    if size > MOST:
        raise SystemExit(f"{target} has {size:,} bytes; at most {MOST:,} may come with the package")
    return size


def main() -> None:
    """Read the command line."""
    here = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=here / "src/napari_phenolens/demo/data/run.zip")
    target = parser.parse_args().out
    print(f"{target}: {make(target):,} bytes")


if __name__ == "__main__":
    main()
