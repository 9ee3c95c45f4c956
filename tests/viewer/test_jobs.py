"""Jobs: off the main thread, one heavy at a time, the newest light one wins, cancelled at once."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from napari_phenolens.errors import Cancelled, PhenoLensError
from napari_phenolens.progress import Progress, check_cancelled
from napari_phenolens.viewer.jobs import BusyError, Job, Jobs


def endless(job: Job) -> None:
    for i in range(10_000):
        check_cancelled(job.cancelled)
        job.report(Progress("work", i, 10_000, eta=10.0))
        time.sleep(0.005)


def test_work_runs_elsewhere_and_the_result_arrives_here() -> None:
    jobs, got = Jobs(), []
    jobs.start(
        "a", lambda _job: threading.current_thread(), lambda thread: got.append((thread, threading.current_thread()))
    )
    assert jobs.wait()
    worker, receiver = got[0]
    assert worker is not threading.main_thread()
    assert receiver is threading.main_thread()


def test_nothing_is_handed_on_without_the_main_thread() -> None:
    jobs, got = Jobs(), []
    jobs.start("a", lambda _job: 1, got.append)
    time.sleep(0.1)
    assert got == []
    assert jobs.wait()
    assert got == [1]


def test_the_newest_job_of_a_kind_wins() -> None:
    jobs, got = Jobs(), []
    gate = threading.Event()
    jobs.start("picture", lambda _job: gate.wait(5) and "old", got.append)
    jobs.start("picture", lambda _job: "new", got.append)
    jobs.start("other", lambda _job: "other", got.append)
    time.sleep(0.1)
    gate.set()
    assert jobs.wait()
    assert sorted(got) == ["new", "other"]


def test_heavy_work_excludes_heavy_work_and_nothing_else() -> None:
    jobs, got = Jobs(), []
    job = jobs.start("run", endless, heavy=True, title="Running")
    with pytest.raises(BusyError, match="Running is still running; cancel it"):
        jobs.start("estimate", lambda _job: None, heavy=True)
    jobs.start("picture", lambda _job: "seen", got.append)
    assert jobs.heavy is job
    deadline = time.monotonic() + 5
    while not got and time.monotonic() < deadline:
        jobs.pump()
    assert got == ["seen"]
    jobs.cancel()
    assert jobs.wait()
    assert jobs.heavy is None


def test_cancel_ends_within_half_a_second_and_drops_the_result() -> None:
    jobs, got, failed, ended = Jobs(), [], [], []
    jobs.failed.connect(lambda job, problem: failed.append(problem))
    jobs.ended.connect(ended.append)
    job = jobs.start("run", endless, got.append, heavy=True)
    time.sleep(0.1)
    jobs.pump()
    assert job.progress is not None
    assert job.progress.eta == 10.0
    start = time.monotonic()
    assert jobs.cancel("run")
    assert jobs.wait(5)
    assert time.monotonic() - start < 0.5
    assert (got, failed, ended) == ([], [], [job])
    assert not jobs.cancel()


def test_errors_say_what_did_not_work() -> None:
    jobs, problems = Jobs(), []
    jobs.failed.connect(lambda job, problem: problems.append(problem))

    def bad(_job: Job) -> None:
        raise PhenoLensError("C05: file is truncated; copy it again")

    def broken(_job: Job) -> None:
        raise ZeroDivisionError("oh")

    jobs.start("a", bad, title="Showing C05")
    jobs.start("b", broken, title="Comparing")
    assert jobs.wait()
    known, unknown = sorted(problems, key=lambda problem: problem.title, reverse=True)
    assert (known.title, known.message, known.details) == ("Showing C05", "C05: file is truncated; copy it again", "")
    assert "ZeroDivisionError: oh" in unknown.message
    assert "Traceback" in unknown.details


def test_the_error_of_a_replaced_job_is_not_shown() -> None:
    jobs, problems = Jobs(), []
    jobs.failed.connect(lambda job, problem: problems.append(problem))
    gate = threading.Event()

    def late(_job: Job) -> Any:
        gate.wait(5)
        raise PhenoLensError("of the old plate")

    jobs.start("open", late)
    jobs.start("open", lambda _job: None)
    gate.set()
    assert jobs.wait()
    assert problems == []


def test_cancelled_work_is_no_error() -> None:
    jobs, problems, ended = Jobs(), [], []
    jobs.failed.connect(lambda job, problem: problems.append(problem))
    jobs.ended.connect(ended.append)

    def stopped(_job: Job) -> None:
        raise Cancelled("stopped")

    jobs.start("run", stopped, heavy=True)
    assert jobs.wait()
    assert problems == []
    assert ended[0].cancelled()


def test_soon_comes_later_on_this_thread() -> None:
    jobs, got = Jobs(), []
    jobs.soon(lambda: got.append(threading.current_thread()), 0.01)
    assert got == []
    assert jobs.wait()
    assert got == [threading.main_thread()]
