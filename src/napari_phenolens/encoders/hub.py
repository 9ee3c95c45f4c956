"""Weights on the Hugging Face hub: what is in its cache, and downloads behind the licence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_phenolens.encoders import memory
from napari_phenolens.encoders.errors import EncoderError
from napari_phenolens.errors import Cancelled
from napari_phenolens.progress import CancelCallback, Progress, ProgressCallback

# Licences that let anyone use the weights for anything: nothing has to be accepted before a download.
LICENCE_FILES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "README.md")  # the last is the model card
OPEN = frozenset({"apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "cc0-1.0", "cc-by-4.0", "isc", "unlicense"})


class LicenceNotAcceptedError(EncoderError):
    """Weights stand behind a licence that the user has not accepted yet.

    Attributes
    ----------
    encoder, licence, url : str
        The encoder, the name of its licence and where to read it.
    """

    def __init__(self, encoder: str, licence: str, url: str) -> None:
        self.encoder, self.licence, self.url = encoder, licence, url
        super().__init__(
            f"the weights of {encoder} stand under this licence: {licence} ({url}). Read it; to accept it and download "
            f"them, add --accept-licence (Python: load_encoder({encoder!r}, accept_licence=True); in napari choose the "
            "model in step 4 and press Get the weights), or give a file that you have with --weights FILE"
        )


@dataclass(frozen=True)
class HubWeights:
    """A weights file on the hub.

    Attributes
    ----------
    repo, filename : str
        ``owner/name`` and the file in it.
    licence, licence_url : str
        Its licence and where to read it.
    revision : str or None
        A branch, tag or commit; None: the newest.
    alternatives : tuple of str
        Files to look for, in this order, where the repository has no `filename`.
    """

    repo: str
    filename: str
    licence: str
    licence_url: str
    revision: str | None = None
    alternatives: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Where people find it."""
        return f"https://huggingface.co/{self.repo}"

    @property
    def is_open(self) -> bool:
        """Whether the licence lets anyone use the weights for anything."""
        return self.licence.lower() in OPEN

    def cached(self) -> Path | None:
        """Give the file where the hub's cache on this machine has it."""
        from huggingface_hub import try_to_load_from_cache

        for filename in (self.filename, *self.alternatives):
            found = try_to_load_from_cache(self.repo, filename, revision=self.revision)
            if isinstance(found, str):
                return Path(found)
        return None

    def licence_text(self, endpoint: str | None = None) -> str:
        """Read the licence, or where the repository has no such file the model card, which names it.

        Parameters
        ----------
        endpoint : str, optional
            Another hub, for mirrors.

        Raises
        ------
        EncoderError
            Where the hub is out of reach or gives none.
        """
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RemoteEntryNotFoundError

        reason = "there is none"
        try:
            for filename in LICENCE_FILES:
                with suppress(RemoteEntryNotFoundError):
                    found = Path(hf_hub_download(self.repo, filename, revision=self.revision, endpoint=endpoint))
                    return found.read_text(encoding="utf-8", errors="replace")
        except LocalEntryNotFoundError:
            reason = "the hub is out of reach: offline, or HF_HUB_OFFLINE is set"
        except (HfHubHTTPError, OSError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EncoderError(
            f"the text of the licence ({self.licence}) cannot be read from here ({reason}); "
            f"read it at {self.licence_url}"
        )

    def accept(self) -> None:
        """Remember that the user accepts the licence."""
        memory.accept(self.repo, self.licence)

    def fetch(
        self,
        encoder: str,
        *,
        accept_licence: bool = False,
        progress: ProgressCallback | None = None,
        cancel: CancelCallback | None = None,
        endpoint: str | None = None,
    ) -> Path:
        """Give the file, downloaded where it is not on this machine.

        Parameters
        ----------
        encoder : str
            Name for messages.
        accept_licence : bool
            Whether the user accepts the licence; it is remembered. What is in the cache already needs no acceptance.
        progress, cancel : callable, optional
            See `napari_phenolens.progress`; done and total are bytes. Nothing is kept of a download that is stopped.
        endpoint : str, optional
            Another hub, for mirrors.

        Returns
        -------
        Path
            In the hub's cache (``HF_HOME``).

        Raises
        ------
        LicenceNotAcceptedError
            Where the licence asks for it.
        EncoderError
            Where this machine is offline, or the hub refuses.
        Cancelled
            Where the user asked to stop.
        """
        found = self.cached()
        if found is not None:
            return found
        if accept_licence and not self.is_open:
            self.accept()
        if not self.is_open and not memory.is_accepted(self.repo, self.licence):
            raise LicenceNotAcceptedError(encoder, self.licence, self.licence_url)
        return self._download(encoder, progress, cancel, endpoint)

    def _download(
        self, encoder: str, progress: ProgressCallback | None, cancel: CancelCallback | None, endpoint: str | None
    ) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
            RemoteEntryNotFoundError,
        )

        by_hand = f"or download {self.filename} from {self.url} elsewhere and give it with --weights FILE"
        bar = _reporter(f"weights of {encoder}", progress, cancel)
        try:
            with _plain_http():
                for filename in (self.filename, *self.alternatives):
                    with suppress(RemoteEntryNotFoundError):
                        return Path(
                            hf_hub_download(
                                self.repo, filename, revision=self.revision, endpoint=endpoint, tqdm_class=bar
                            )
                        )
        except GatedRepoError as error:
            raise EncoderError(
                f"{encoder}: the hub gives {self.repo} only to people who have asked for it: accept its terms at "
                f"{self.url}, then log in on this machine with `hf auth login`"
            ) from error
        except LocalEntryNotFoundError as error:  # HF_HUB_OFFLINE, or no network
            raise EncoderError(
                f"{encoder}: its weights are not on this machine, and the hub is out of reach (offline, or "
                f"HF_HUB_OFFLINE is set); go online, {by_hand}"
            ) from error
        except (HfHubHTTPError, OSError) as error:
            raise EncoderError(
                f"{encoder}: the download from {self.repo} failed ({error}); try again, {by_hand}"
            ) from error
        raise EncoderError(
            f"{encoder}: {self.url} has no {' or '.join((self.filename, *self.alternatives))}; {by_hand[3:]}"
        )


@contextmanager
def _plain_http() -> Iterator[None]:
    """Keep to plain HTTP: a download by xet cannot be stopped from its progress callback, which runs outside Python."""
    from huggingface_hub import constants

    had = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = True
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = had


def _reporter(label: str, progress: ProgressCallback | None, cancel: CancelCallback | None) -> type[Any]:
    """Make the class that the hub's client reports bytes to."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bytes(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs["disable"] = True  # it draws nothing: our own callback is told
            super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
            self.done, self.size = int(kwargs.get("initial") or 0), int(kwargs.get("total") or 0)

        def update(self, n: float | None = 1) -> bool | None:
            self.done += int(n or 0)
            if progress is not None:
                of_all = f" of {self.size / 1e6:.0f}" if self.size else ""
                said = f"{label}, {self.done / 1e6:.0f}{of_all} MB"
                progress(Progress("download", self.done, self.size, said))
            if cancel is not None and cancel():
                raise Cancelled(f"cancelled; nothing of the {label} is kept")
            return None

    return Bytes
