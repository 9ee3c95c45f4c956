"""The command line: what it passes on, what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import napari_phenolens
from napari_phenolens.analysis import Heatmap
from napari_phenolens.cli import arguments, main, output
from napari_phenolens.cli.progress import PlainLines, duration
from napari_phenolens.errors import Cancelled, PhenoLensError
from napari_phenolens.progress import Progress

Outcome = SimpleNamespace


@pytest.fixture
def phenolens(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process; gives its exit code and what it printed."""

    def call(*args: object) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        printed = capsys.readouterr()
        return Outcome(code=ended.value.code or 0, out=printed.out, err=printed.err)

    return call


class FakeRun:
    """A finished run, as far as the command line looks at it."""

    already_complete = False
    plate_name = "plate"
    provisional = False
    wells = ("A01", "A02")
    n_features = 4
    path = Path("run")
    skipped = pd.DataFrame({"well": [], "field": [], "reason": []})
    pixel_size = None


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Put fakes in place of the rooms; gives what they were called with."""
    made: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    index = pd.Index([3, "cell_count"], dtype=object, name="feature")
    table = pd.DataFrame(
        {"type": ["feature", "covariate"], "effect": [1 / 3, np.nan], "technical": ["no", ""]}, index=index
    )
    table.attrs = {"warnings": ["Few wells."], "notes": [], "controls": ["A01"], "perturbed": ["A02"]}
    plate = SimpleNamespace(warnings=("well A03 has no images",), name="plate", pixel_size=0.65)

    def fake(name: str, result: object) -> Any:
        def call(*args: Any, **kwargs: Any) -> object:
            made.append((name, args, kwargs))
            return result

        return call

    heat = Heatmap(np.arange(6, dtype=np.float32).reshape(2, 3), (8.0, 8.0), (3.5, 3.5), (0.0, 2.0), feature=3)
    run = FakeRun()
    run.path = tmp_path / "run"
    results = {"open_plate": plate, "open_run": run, "compare": table, "explain": table, "heatmap": heat}
    for name, result in results.items():
        monkeypatch.setattr(napari_phenolens, name, fake(name, result), raising=False)
    monkeypatch.setattr("napari_phenolens.run.run_plate", fake("run_plate", FakeRun()), raising=False)
    monkeypatch.setattr("napari_phenolens.run.estimate", lambda plate, **_: "96 fields, 9,600 tiles, about 4 min")
    return made


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from napari_phenolens.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "heavy = {'torch', 'skimage', 'scipy', 'zarr', 'numba', 'pandas', 'numpy', 'napari', 'qtpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("demo", "info", "run", "compare", "phenotype", "explain", "heatmap", "export", "encoders"):
        assert command in done.stdout


@pytest.mark.parametrize("args", [["no-such-command"], ["run"], ["run", "PLATE", "--out", "OUT"], ["explain", "RUN"]])
def test_wrong_usage_ends_with_2(phenolens: Any, args: list[str]) -> None:
    ended = phenolens(*args)
    assert ended.code == 2
    assert "Usage" in ended.err


@pytest.mark.parametrize(
    "error",
    [
        PhenoLensError("platemap.csv: no column\n'dose'; the columns are row, column"),
        FileNotFoundError(2, "No such file or directory", "plate"),
    ],
)
def test_wrong_input_is_one_line_and_1(
    phenolens: Any, calls: list[Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise error

    monkeypatch.setattr(napari_phenolens, "open_plate", fail)
    ended = phenolens("info", "plate")
    assert ended.code == 1
    assert ended.out == ""
    assert ended.err.startswith("phenolens: error: plat")
    assert ended.err.count("\n") == 1


def test_a_mistake_of_ours_is_not_hidden(calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(napari_phenolens, "open_plate", fail)
    with pytest.raises(KeyError, match="ours"):
        main(["info", "plate"])


@pytest.mark.parametrize("stop", [Cancelled("cancelled"), KeyboardInterrupt()])
def test_cancelled_ends_with_130_and_says_how_to_go_on(
    phenolens: Any, calls: list[Any], monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise stop

    monkeypatch.setattr("napari_phenolens.run.run_plate", fail)
    monkeypatch.setattr(sys, "argv", ["phenolens", "run", "my plate", "--out", "out"])
    ended = phenolens("run", "my plate", "--out", "out", "--controls", "A01")
    assert ended.code == 130
    assert "96 fields, 9,600 tiles, about 4 min, and learning the features" in ended.err
    assert "go on with the same command: phenolens run 'my plate' --out out" in ended.err


def test_first_interrupt_asks_the_work_to_stop(
    phenolens: Any, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_args: object, cancel: Any, **_kwargs: object) -> None:
        assert not cancel()
        os.kill(os.getpid(), signal.SIGINT) if os.name != "nt" else signal.raise_signal(signal.SIGINT)
        assert cancel()
        raise Cancelled("cancelled")

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("napari_phenolens.run.run_plate", work)
    ended = phenolens("run", "plate", "--out", "out", "--controls", "A01")
    assert ended.code == 130
    assert "stopping after this batch" in ended.err
    assert signal.getsignal(signal.SIGINT) is before


def test_run_passes_on_only_what_was_typed(phenolens: Any, calls: list[Any], tmp_path: Path) -> None:
    ended = phenolens(
        "run", "plate", "--platemap", "map.csv", "--controls", "role == 'negative'", "--out", tmp_path / "out",
        "--channels", "DNA=Channel2,GFP=Channel1", "--atoms", 64, "--block", 0, "--sparsity", "5,2",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    opened, ran = calls
    assert opened == ("open_plate", (Path("plate"), Path("map.csv")), {"pattern": None})
    assert ran[1][1] == tmp_path / "out"
    assert callable(ran[2].pop("progress"))
    assert callable(ran[2].pop("cancel"))
    assert ran[2] == {
        "controls": "role == 'negative'",
        "channels": {"DNA": "Channel2", "GFP": "Channel1"},
        "atoms": 64,
        "block": 0,
        "sparsity": (5, 2),
        "device": "auto",
    }
    assert "note: well A03 has no images" in ended.err
    assert f"phenolens compare {tmp_path / 'out'} --perturbed" in ended.out


def test_a_complete_run_is_said_to_be_complete(
    phenolens: Any, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeRun, "already_complete", True)
    assert phenolens("run", "plate", "--out", "out", "--controls", "A01").out.startswith("Nothing to do: out")


def test_a_lens_is_applied(phenolens: Any, calls: list[Any]) -> None:
    assert phenolens("run", "plate", "--out", "out", "--lens", "my.lens").code == 0
    assert calls[-1][2]["lens"] == Path("my.lens")
    assert "controls" not in calls[-1][2]


def test_compare_gives_the_same_numbers_everywhere(phenolens: Any, calls: list[Any], tmp_path: Path) -> None:
    csv = tmp_path / "new" / "table.csv"
    ended = phenolens("compare", "run", "--perturbed", "B01,b02", "--controls", "dose == 0", "--out", csv, "--json")
    assert ended.code == 0, ended.err
    assert calls[-1][2] == {"controls": "dose == 0", "perturbed": "B01,b02", "picked_after": False}
    printed = json.loads(ended.out)
    assert printed["warnings"] == ["Few wells."]
    assert printed["rows"] == [
        {"feature": 3, "type": "feature", "effect": 1 / 3, "technical": "no"},
        {"feature": "cell_count", "type": "covariate", "effect": None, "technical": ""},
    ]
    assert pd.read_csv(csv)["effect"][0] == 1 / 3
    said = phenolens("compare", "run", "--perturbed", "B01").out
    assert said.startswith("Few wells.")
    assert "0.333" in said
    assert "cell_count" in said


def test_phenotype_scores_the_wells_and_maps_a_field(
    phenolens: Any, calls: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tifffile

    from napari_phenolens.analysis import Phenotype

    scores = pd.Series([1 / 3, 1.0], index=pd.Index(["A01", "A02"], name="well"), name="phenotype")
    mapped = Heatmap(np.full((2, 3), 0.25, np.float32), (8.0, 8.0), (3.5, 3.5), None, "phenotype", "A02", "1")
    found = Phenotype((3, 1), np.array([0.5, -0.5]), np.zeros(2), "patch", "activation", ("A01",), ("A02",))
    monkeypatch.setattr(Phenotype, "score", lambda self, run: scores)
    monkeypatch.setattr(Phenotype, "heatmap", lambda self, run, well, field: mapped)
    monkeypatch.setattr(napari_phenolens, "phenotype", lambda *a, **k: calls.append(("phenotype", a, k)) or found)
    csv, tif = tmp_path / "scores.csv", tmp_path / "map.tif"
    given = ("phenotype", "run", "--perturbed", "A02", "--feature", 3, "--most", 9, "--out", csv)
    ended = phenolens(*given, "--well", "A02", "--map", tif, "--json")
    assert ended.code == 0, ended.err
    assert calls[-1][1][1:] == (None, "A02") and calls[-1][2] == {"feature": 3, "most": 9}
    printed = json.loads(ended.out)
    assert [row["phenotype"] for row in printed["rows"]] == [1 / 3, 1.0]
    assert [row["side"] for row in printed["rows"]] == ["control", "perturbed"]
    assert [row["feature"] for row in printed["features"]] == [3, 1]
    assert pd.read_csv(csv)["phenotype"][0] == 1 / 3
    assert (tifffile.imread(tif) == 0.25).all()
    assert "in-sample" in phenolens("phenotype", "run", "--perturbed", "A02").out
    assert phenolens("phenotype", "run", "--perturbed", "A02", "--map", tif).code == 2


def test_explain_reads_place_and_field(phenolens: Any, calls: list[Any]) -> None:
    assert phenolens("explain", "run", "--well", "B07", "--field", "2", "--at", "10,20.5", "--json").code == 0
    assert calls[-1][1][1:] == ("B07", "2")
    assert calls[-1][2] == {"at": (10.0, 20.5)}
    assert phenolens("explain", "run", "--well", "B07", "--at", "10").code == 2


def test_heatmap_writes_a_tiff_with_its_place(phenolens: Any, calls: list[Any], tmp_path: Path) -> None:
    import tifffile

    out = tmp_path / "maps" / "heat.tif"
    ended = phenolens("heatmap", "run", "--well", "B07", "--field", "0", "--feature", 3, "--out", out)
    assert ended.code == 0, ended.err
    assert calls[-1][1][1:] == ("B07", "0", 3)
    with tifffile.TiffFile(out) as tiff:
        np.testing.assert_array_equal(tiff.asarray(), np.arange(6).reshape(2, 3))
        assert tiff.pages[0].dtype == np.float32
        described = json.loads(tiff.pages[0].description)
    assert described["scale"] == [8.0, 8.0]
    assert described["translate"] == [3.5, 3.5]
    assert described["feature"] == 3


def test_channels() -> None:
    assert arguments.channels(None) is None
    assert arguments.channels("GFP, DNA") == ["GFP", "DNA"]
    assert arguments.channels("DNA = Channel2,GFP=Channel1") == {"DNA": "Channel2", "GFP": "Channel1"}
    for wrong in ("GFP,DNA=Channel2", "DNA=", "=x", "GFP,,DNA", "DNA=a,DNA=b"):
        with pytest.raises(Exception, match=r"channels|twice"):
            arguments.channels(wrong)


def test_json_has_no_nan_and_keeps_numbers() -> None:
    table = pd.DataFrame(
        {"x": [np.float32(0.1), np.inf], "y": [np.int64(2), None], "z": [pd.NaT, "a"]},
        index=pd.Index(["A", "B"], name="well"),
    )
    rows = output.records(table)
    assert rows[0] == {"well": "A", "x": pytest.approx(0.1), "y": 2, "z": None}
    assert rows[1]["x"] is None
    json.dumps(rows, allow_nan=False)


def test_progress_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1000, 6))
    monkeypatch.setattr("napari_phenolens.cli.progress.time.monotonic", lambda: float(next(now)))
    lines = PlainLines()
    for done in range(5):
        lines(Progress("encode", done, 4, message="B07" if done == 2 else "", eta=200.0 if done == 1 else None))
    lines(Progress("encode", 4, 4))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "encode 0/4 (0 %)"
    assert said[1] == "encode 1/4 (25 %), 3 min left"
    assert said[2].startswith("encode 2/4 (50 %), ")
    assert said[2].endswith(" s left: B07")
    assert said[-1] == "encode 4/4 (100 %)"
    assert len(said) == 5


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (45, "45 s"), (180, "3 min"), (3599, "1 h"), (7800, "2 h 10 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
