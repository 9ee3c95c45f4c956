"""The weights of a model: whether they are here, their licence shown and answered first, the download as a job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_phenolens.errors import PhenoLensError

if TYPE_CHECKING:
    from napari_phenolens.encoders import Licence
    from napari_phenolens.viewer.jobs import Job
    from napari_phenolens.viewer.running import RunSettings
    from napari_phenolens.viewer.workbench import Workbench

Then = Callable[[], Any]


@dataclass(frozen=True)
class LicenceQuestion:
    """A licence that waits for the user's answer.

    Attributes
    ----------
    about : Licence
        Encoder, licence, where to read it.
    text : str
        The licence itself; empty while it is being read, or where it cannot be.
    unread : str
        Why it cannot be read from here, and where it stands.
    """

    about: Licence
    text: str = ""
    unread: str = ""

    @property
    def reading(self) -> bool:
        """Whether the text is still on its way."""
        return not (self.text or self.unread)


class Weights:
    """Gets the weights of a model; what the user accepts is remembered as the command line does."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._then: Then | None = None

    def about(self, encoder: str) -> Licence:
        """Give the licence of an encoder's weights and whether they are here."""
        from napari_phenolens.encoders import licence_of

        return licence_of(encoder)

    def need(self, settings: RunSettings, then: Then) -> None:
        """Call ``then`` once the weights that the settings ask for are here; else ask and download before.

        Raises
        ------
        PhenoLensError
            Where they are not public and no file is given, or a job is in the way.
        """
        if settings.lens or settings.weights or self.about(settings.encoder).here:
            then()  # a lens finds its weights by their checksum
        else:
            self.get(settings.encoder, then)

    def get(self, encoder: str, then: Then | None = None) -> None:
        """Download the weights of an encoder; where their licence has to be accepted, ask first."""
        about = self.about(encoder)
        if not about.download:
            raise PhenoLensError(
                f"the weights of {encoder} cannot be downloaded ({about.name}); where you have them, "
                "give the file with I have the file…"
            )
        self._then = then
        if not about.asks:
            self._download(about)
            return
        s = self.bench.session
        s.licence = LicenceQuestion(about)
        s.status = f"Read the licence of {encoder}, then accept or decline it."

        def read(_job: Job) -> tuple[str, str]:
            from napari_phenolens.encoders import licence_text

            try:
                return licence_text(encoder), ""
            except PhenoLensError as error:  # shown with the question: the user reads it elsewhere
                return "", str(error)

        def show(found: tuple[str, str]) -> None:
            asked = s.licence
            if asked is not None and asked.about == about:
                s.licence = replace(asked, text=found[0], unread=found[1])

        self.bench.jobs.start("licence", read, show, title="Reading the licence")

    def accept(self) -> None:
        """Take the user's yes: it is remembered with its date, and the download begins."""
        from napari_phenolens.encoders import accept_licence

        asked = self._answered()
        if asked is not None:
            accept_licence(asked.about.encoder)
            self._download(asked.about)

    def decline(self) -> None:
        """Take the user's no: nothing is remembered or downloaded."""
        asked = self._answered()
        self._then = None
        if asked is not None:
            self.bench.session.status = f"Declined; nothing of {asked.about.encoder} was downloaded."

    def _answered(self) -> LicenceQuestion | None:
        s = self.bench.session
        asked: LicenceQuestion | None = s.licence
        s.licence = None
        self.bench.jobs.cancel("licence")
        return asked

    def _download(self, about: Licence) -> None:
        then, self._then = self._then, None
        s = self.bench.session
        plate = s.plate

        def work(job: Job) -> Any:
            from napari_phenolens.encoders import fetch_weights

            return fetch_weights(about.encoder, progress=job.report, cancel=job.cancelled)

        def done(_path: Any) -> None:
            s.status = f"The weights of {about.encoder} are on this machine."
            if then is not None and s.plate is plate:  # what was asked for on plate A never begins on plate B
                then()

        self.bench.jobs.start("weights", work, done, title=f"Downloading the weights of {about.encoder}", heavy=True)
        s.status = f"Downloading the weights of {about.encoder}; Cancel stops it."


def weights_file(path: str) -> str:
    """Check that a file which the user chose can be a model's weights.

    Raises
    ------
    EncoderError
        Where it is missing or neither safetensors nor a torch file.
    """
    from napari_phenolens.encoders.weights import file_kind

    file_kind(Path(path))
    return path
