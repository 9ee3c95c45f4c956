"""Take the screenshots of explained cells (of a control well, of a perturbed well), of responders, and of words.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots/cells.py RUN --perturbed QUERY

RUN is the folder of a finished run whose cells are stored (``phenolens cells RUN``). In each side's wells the cell in
the middle of its ranks is shown: neither the best nor the worst.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from take import HERE, SIZE, check, scroll_to, take, wait


def main(arguments: list[str] | None = None) -> None:
    """Open, click, take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run with cells")
    parser.add_argument("--perturbed", required=True, help="query for the perturbed wells")
    parser.add_argument("--mixed", help="a well in which some cells respond; without it no picture of responders")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the pictures")
    chosen = parser.parse_args(arguments)

    import napari

    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    _, dock = viewer.window.add_plugin_dock_widget("napari-phenolens", "PhenoLens")
    bench = dock.bench
    bench.opening.run(chosen.run)
    wait(bench.jobs)
    bench.set_queries(None, chosen.perturbed, "")
    bench.comparing.start()
    wait(bench.jobs)
    if bench.session.words is None:
        bench.wording.find()
        wait(bench.jobs, limit=600)
    check(bench)
    _, cells = viewer.window.add_plugin_dock_widget("napari-phenolens", "PhenoLens cell")
    wait(bench.jobs)
    dock.parent().hide()
    table = bench.session.run.cells()
    compared = bench.session.comparison
    for name, wells in (("cell-control", compared.controls), ("cell-perturbed", compared.perturbed)):
        rows = table[table["well"].isin(wells) & ~table["border"]]
        bench.walking.go(int(rows.index[len(rows) // 2]))
        wait(bench.jobs)
        ranked = [c for c in bench.walking.ranked() if c in set(rows.index)]
        bench.walking.go(int(ranked[len(ranked) // 2]))
        wait(bench.jobs)
        check(bench)
        assert bench.session.cell.whole
        bench.showing.feature(int(bench.session.cell.card.features.index[0]))  # where its leading feature is
        wait(bench.jobs, extra=2.0)
        print(take(viewer, chosen.out, name))
        print(bench.session.cell.card.text())
    if chosen.mixed:
        bench.showing.well(chosen.mixed)
        wait(bench.jobs)
        bench.responding.count()
        wait(bench.jobs)
        check(bench)
        bench.showing.set_dim(False)
        for slot in range(len(bench.session.slots)):
            bench.showing.feature(None, slot)
        viewer.reset_view()
        wait(bench.jobs, extra=2.0)
        scroll_to(cells, cells.responders)
        print(take(viewer, chosen.out, "responders"))
        bench.responding.show(False)
        bench.showing.set_dim(True)
    _, page = viewer.window.add_plugin_dock_widget("napari-phenolens", "PhenoLens feature")
    cells.parent().hide()
    bench.showing.well(bench.comparing.typical(list(compared.controls)))
    bench.showing.feature(int(compared.features["feature"].iloc[0]))
    viewer.reset_view()
    wait(bench.jobs, extra=2.0)
    check(bench)
    page.scroll.verticalScrollBar().setValue(0)
    print(take(viewer, chosen.out, "words"))
    cells.bench.close()
    viewer.close()


if __name__ == "__main__":
    main()
