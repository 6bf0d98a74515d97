"""Published weights of the five systems: where they come from, under which terms, and their checksums."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PublishedWeights:
    """Weights file.

    Args:
        file: its name below ``weights/``, as published.
        sha256: of the released file; "": unknown, not compared.
        url: address; "": none, see the page.
        page: where it is published.
        licence: terms, as its authors state them.
    """

    file: str
    sha256: str
    url: str
    page: str
    licence: str

    @property
    def name(self) -> str:
        """Name without suffix."""
        return Path(self.file).stem


_SEE = "see the page"
_IMDN = ("https://github.com/Zheng222/IMDN/raw/master/checkpoints", "https://github.com/Zheng222/IMDN")
_RT4KSR = (
    "https://github.com/eduardzamfir/RT4KSR/raw/main/code/checkpoints",
    "https://github.com/eduardzamfir/RT4KSR",
)
_DRCT = "https://drive.google.com/drive/folders/1QJHdSfo-0eFNb96i8qzMJAPw31u9qZ7U"
_REPOSITORY = "none stated in the authors' repository"

WEIGHTS: dict[str, PublishedWeights] = {
    weights.name: weights
    for weights in (
        *(
            PublishedWeights(file, sha256, f"{_IMDN[0]}/{file}", _IMDN[1], _REPOSITORY)
            for file, sha256 in {
                "IMDN_x2.pth": "740b39653592bd3f49955a21cd9e16f2d37f2c413368cc09327601b8fbe42ce1",
                "IMDN_x3.pth": "11b1716a19bc16e5e353e1db798d476169338e631eb170c82d765559888cb028",
                "IMDN_x4.pth": "e660c38221147217a136debeb99eb304d62d9c0f73ac421ed66281b619719714",
                "IMDN_AS.pth": "3cbddf7635581a5a1eab501b18081e7825dcdfd53a1a7670e1e571515eae76ff",
                "model_RTC.pth": "5696ca25971477a93f2a3f3b235039e30afefff1bb560efdc48c0f880635a2ab",
                "model_RTE.pth": "4f5df6feb541d3904e1bceb9d7444bde3a8068d91c22941f4c83247663081c7d",
            }.items()
        ),
        PublishedWeights(
            "IMDN_plus_x4.pth",
            "0051dcbeb82684fef3981eff81df86bb167b8f9602323fa37f82f8c5566ff5a9",
            "",
            "https://github.com/ofsoundof/NTIRE2022_ESR (model_zoo, team 39)",
            "that of the challenge's repository",
        ),
        *(
            PublishedWeights(file, sha256, f"{_RT4KSR[0]}/{file}", _RT4KSR[1], _REPOSITORY)
            for file, sha256 in {
                "rt4ksr_x2.pth": "9ec7500092848a480e058a9c703e4b2254bc0cc97928c076bba272177752124f",
                "rt4ksr_x3.pth": "13229f15a7f3897096ab0ee92b7c3d3c64fd59b4e558fea3248147cec225e65e",
            }.items()
        ),
        *(
            PublishedWeights(f"{name}.pth", "", "", f"{_DRCT} (Google Drive)", _SEE)
            for name in (
                *("DRCT_SRx2", "DRCT_SRx3", "DRCT_SRx4", "DRCT-L_X2", "DRCT-L_X3", "DRCT-L_X4"),
                *("Real-DRCT-GAN_MSE_Model", "Real-DRCT-GAN_Finetuned_from_MSE"),
            )
        ),
        PublishedWeights("D2C-SR.pkl", "", "", "https://github.com/megvii-research/D2C-SR (Google Drive)", _SEE),
        *(
            PublishedWeights(
                f"{name}.pth",
                "",
                "",
                "https://drive.google.com/drive/folders/1NcNHbsGtD0OHuAf_ATACmZ_cTikL7bB3 (Google Drive)",
                _SEE,
            )
            for name in ("Real-SRResNet", "Real-SRResNet_dropout", "Real-RRDB", "Real-RRDB_dropout")
        ),
    )
}
