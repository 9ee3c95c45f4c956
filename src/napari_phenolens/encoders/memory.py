"""What is remembered of encoders on this machine: accepted licences, and where weights files were last seen.

One JSON file in the user's configuration folder (``PHENOLENS_CONFIG`` overrides the folder).
"""

from __future__ import annotations

import contextlib
import json
import os
from datetime import date
from pathlib import Path
from typing import Any

from napari_phenolens.encoders.errors import EncoderError


def config_file() -> Path:
    """Give the file in which licences and weights files are remembered."""
    from platformdirs import user_config_path

    given = os.environ.get("PHENOLENS_CONFIG")
    folder = Path(given) if given else user_config_path("napari-phenolens", appauthor=False)
    return folder / "encoders.json"


def _read() -> dict[str, dict[str, Any]]:
    path = config_file()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {"accepted": {}, "weights": {}}
    try:
        known = json.loads(text)
        return {"accepted": dict(known.get("accepted", {})), "weights": dict(known.get("weights", {}))}
    except (ValueError, TypeError, AttributeError) as error:
        raise EncoderError(f"{path}: not the file that remembers licences and weights ({error}); delete it") from error


def _write(known: dict[str, dict[str, Any]]) -> None:
    path = config_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(known, indent=2), encoding="utf-8")
    os.replace(scratch, path)


def is_accepted(source: str, licence: str) -> bool:
    """Tell whether the user has accepted this licence of these weights."""
    return bool(_read()["accepted"].get(source, {}).get("licence") == licence)


def accept(source: str, licence: str) -> None:
    """Remember that the user has accepted this licence of these weights, and when."""
    known = _read()
    known["accepted"][source] = {"licence": licence, "date": date.today().isoformat()}
    _write(known)


def remember_weights(sha256: str, path: Path) -> None:
    """Remember where a weights file lies, so that a lens that names its checksum finds it again."""
    known = _read()
    if known["weights"].get(sha256) == str(path.resolve()):
        return
    known["weights"][sha256] = str(path.resolve())
    with contextlib.suppress(OSError):  # a home that cannot be written to: the file is then named again next time
        _write(known)


def remembered_weights(sha256: str) -> Path | None:
    """Give the file of that checksum where one was used before and still lies there unchanged."""
    from napari_phenolens.encoders.weights import sha256_of

    found = _read()["weights"].get(sha256)
    if found is None or not Path(found).is_file() or sha256_of(Path(found)) != sha256:
        return None
    return Path(found)
