"""The encoder is loaded once for fields that are encoded again, and let go; a cancel is heard in the forward."""

from __future__ import annotations

import time

import pytest

from napari_phenolens import explain, heatmap
from napari_phenolens.errors import Cancelled
from napari_phenolens.run import again, fleet, open_run
from napari_phenolens.run.engine import Engine
from napari_phenolens.run.kept import Kept


def until(true):
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.01)


def test_one_thing_is_kept_until_it_lies_idle():
    made = []
    kept = Kept(idle=60)
    for key in ("a", "a", "b", "b"):
        kept.get(key, lambda key=key: made.append(key) or object())
        first = kept._timer
    assert made == ["a", "b"] and kept.held == "b"
    kept.get("b", lambda: pytest.fail("it was let go while it was in use"))
    assert first.finished.is_set()  # every use begins its time anew
    kept._idle()  # a timer that woke up too late
    assert kept.held == "b"
    kept.idle = 0.01
    kept.get("b", object)
    until(lambda: kept.held is None)
    kept.get("a", object)
    last = kept._timer
    kept.forget()
    assert kept.held is None
    until(lambda: not last.is_alive())


@pytest.fixture
def storeless(finished, monkeypatch):
    """Give the run without its tokens: fields are encoded again."""
    run = open_run(finished.path)
    monkeypatch.setattr(again.TokenStore, "exists", staticmethod(lambda *_: False))
    again.ENCODER.forget()
    yield run
    again.ENCODER.forget()


def test_the_encoder_is_loaded_once(storeless, monkeypatch):
    import napari_phenolens.encoders as room

    loads = []
    true = room.load_encoder
    monkeypatch.setattr(room, "load_encoder", lambda *a, **k: loads.append(a) or true(*a, **k))
    whole = storeless.tokens("A01", 0)
    assert whole.shape == storeless.tokens("B01", 1, cancel=lambda: False).shape
    storeless.activation("A02", 0, 3, stride=storeless.lens.patch // 2)
    assert len(loads) == 1


@pytest.mark.parametrize("what", ["tokens", "heatmap", "finer", "explain"])
def test_a_cancel_is_heard_before_the_next_batch(storeless, monkeypatch, what):
    batches = []
    true = Engine._within_memory

    def slow(self, lane, begin, end, forward):
        batches.append(begin)
        return true(self, lane, begin, end, forward)

    monkeypatch.setattr(Engine, "_within_memory", slow)
    monkeypatch.setattr(fleet, "BATCH_TOKENS", 1)  # a tile a batch
    ask = {
        "tokens": lambda cancel: storeless.tokens("A01", 0, cancel=cancel),
        "heatmap": lambda cancel: heatmap(storeless, "A01", 0, 3, "alignment", cancel=cancel),
        "finer": lambda cancel: heatmap(storeless, "A01", 0, 3, stride=4, cancel=cancel),
        "explain": lambda cancel: explain(storeless, "A01", 0, at=(20, 20), cancel=cancel),
    }[what]
    with pytest.raises(Cancelled):
        ask(lambda: len(batches) >= 1)
    assert len(batches) <= 2  # one a thread
