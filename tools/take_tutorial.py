"""Take the pictures of docs/tutorial.md: walk the whole way by mouse and keys, and look at the screen at each step.

    xvfb-run -a -s "-screen 0 1280x820x24 +extension GLX" python tools/take_tutorial.py PLATE RUN --out docs/screenshots

PLATE is the folder of BBBC013, RUN that of a finished run of it (``phenolens run``). The run is copied first: what
looking writes into it (the log of contrasts, names) stays out of it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
SIZE = (1440, 860)


def main(arguments: list[str] | None = None) -> None:
    """Walk, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plate", type=Path, help="folder of BBBC013")
    parser.add_argument("run", type=Path, help="folder of a finished run of it")
    parser.add_argument("--out", type=Path, default=REPO / "docs" / "screenshots", help="folder for the pictures")
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        # napari's settings, our recent list and the folder for results are those of a fresh account
        home = Path(folder) / "you"
        home.mkdir()
        os.environ["NAPARI_CONFIG"] = str(home / "napari.yaml")
        os.environ["PHENOLENS_CONFIG"] = str(home / "config")
        os.environ["HOME"] = str(home)
        walk(chosen.plate.resolve(), chosen.run.resolve(), chosen.out.resolve(), home)


def walk(plate: Path, run: Path, out: Path, home: Path) -> None:
    """Walk in two windows: there, and back to where the session was."""
    sys.path[:0] = [str(REPO / "tests" / "support"), str(REPO / "docs" / "screenshots")]
    import napari
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication
    from walk import Ground, Walk

    ground = Ground(plate, run=Path(shutil.copytree(run, home / "bbbc013-results")), compound="Wortmannin")
    documents = home / "Documents"  # not home itself: Qt's dialog takes a path into the folder that it shows for "home"
    documents.mkdir()
    session = documents / "bbbc013.phenolens.json"

    def seen(name: str) -> None:
        path = out / f"tutorial-{name}.png"
        take(path)
        sys.stdout.write(f"{path} {path.stat().st_size / 1000:.0f} kB\n")
        sys.stdout.flush()

    for there in (True, False):
        viewer = napari.Viewer(show=False, show_welcome_screen=False)
        QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs, True)
        viewer.window.show()
        made = Walk(viewer, ground, seen)
        made.window.move(0, 0)
        made.window.resize(*SIZE)
        try:
            made.there(session) if there else made.back(session)
        except AssertionError:
            take(out / "tutorial-failed.png")
            raise
        made.dock.bench.close()
        viewer.close()


def take(path: Path) -> None:
    """Save what is on the screen, with the menus and dialogs that lie over the window."""
    from qtpy.QtGui import QGuiApplication
    from qtpy.QtTest import QTest
    from take import shrink

    QTest.qWait(400)
    QGuiApplication.primaryScreen().grabWindow(0, 0, 0, *SIZE).save(str(path))
    shrink(path)


if __name__ == "__main__":
    main()
