"""Published datasets and weights: where they come from, under which terms, and where the option files look for them.

There is an address where a file may be fetched without a form or a browser; elsewhere a page, and the folders to make
of what it offers. `srzoo data get` fetches them; messages about missing files name it.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Archive:
    """Public archive: its address, MD5 as published, and size [MB, rounded]."""

    url: str
    md5: str
    megabytes: int


@dataclass(frozen=True)
class PublishedDataset:
    """Dataset.

    Args:
        name: of its folder below ``datasets/``.
        images: description of its content, in words.
        folders: sub-folder -> spellings of it in archives, in lower case; without "" any other content is left out.
        count: number of images in the first sub-folder; 0: not compared.
        archives: to download; empty: there is no public address.
        page: where it is published.
        layout: how to arrange by hand what the page offers.
        licence: terms, as its authors state them.
        parts: names of datasets that it consists of.
        other_names: of the folder in archives.
    """

    name: str
    images: str
    folders: dict[str, tuple[str, ...]]
    count: int
    archives: tuple[Archive, ...]
    page: str
    layout: str
    licence: str
    parts: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()


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


_LR = {
    f"LRbicx{s}": (f"lrbicx{s}", f"lr_bicubic/x{s}", f"lrbi/x{s}", f"lr/x{s}", f"lr_x{s}", f"lr_bicubic_x{s}", f"x{s}")
    for s in (2, 3, 4)
}
_CLASSIC = {"GT": ("gt", "hr", "original", "gtmod12", "images"), **_LR}
_BENCHMARK = (Archive("https://cv.snu.ac.kr/research/EDSR/benchmark.tar", "4ace41d33c2384b97e6b320cd0afd6ba", 250),)
_DIV2K = "https://data.vision.ee.ethz.ch/cvl/DIV2K"
_BASICSR = "https://github.com/XPixelGroup/BasicSR/blob/master/docs/DatasetPreparation.md"
_SEE = "see the page"
_PAIRS = "the folders of the archive as they are; lists of pairs come from `srzoo data list`"
_NONE = "none stated"


def _classic(
    name: str, images: str, count: int, page: str, licence: str, archives: tuple[Archive, ...] = _BENCHMARK
) -> PublishedDataset:
    layout = "GT/NAME.png and LRbicx2/NAMEx2.png, LRbicx3, LRbicx4 (from GT: `srzoo data make-lr`)"
    other = {"BSD100": ("b100", "bsds100"), "Manga109": ("manga109",)}.get(name, ())
    return PublishedDataset(name, images, _CLASSIC, count, archives, page, layout, licence, (), other)


DATASETS: dict[str, PublishedDataset] = {
    dataset.name: dataset
    for dataset in (
        _classic("Set5", "Bevilacqua et al., 2012: 5 images", 5, _BASICSR, _NONE),
        _classic("Set14", "Zeyde et al., 2010: 14 images", 14, _BASICSR, _NONE),
        _classic(
            "BSD100",
            "Martin et al., 2001: 100 photographs",
            100,
            "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/bsds/",
            "non-commercial research and education",
        ),
        _classic(
            "Urban100",
            "Huang et al., 2015: 100 photographs of buildings",
            100,
            "https://github.com/jbhuang0604/SelfExSR",
            "see the page; photographs from Flickr",
        ),
        _classic(
            "Manga109",
            "Matsui et al., 2017: 109 pages of manga",
            109,
            "http://www.manga109.org/en/",
            "academic use, on application to the authors",
            (),
        ),
        PublishedDataset(
            "DIV2K",
            "Agustsson and Timofte, 2017: 800 training and 100 validation photographs of 2K",
            {
                "train_HR": ("div2k_train_hr", "train_hr", "hr", "gt"),
                "valid_HR": ("div2k_valid_hr", "valid_hr"),
                **{f"train_LRbicx{s}": (f"div2k_train_lr_bicubic/x{s}", f"train_lrbicx{s}") for s in (2, 3, 4)},
                **{f"valid_LRbicx{s}": (f"div2k_valid_lr_bicubic/x{s}", f"valid_lrbicx{s}") for s in (2, 3, 4)},
            },
            800,
            (
                Archive(f"{_DIV2K}/DIV2K_train_HR.zip", "bdc2d9338d4e574fe81bf7d158758658", 3531),
                Archive(f"{_DIV2K}/DIV2K_valid_HR.zip", "9fcdda83005c5e5997799b69f955ff88", 449),
            ),
            f"{_DIV2K}/",
            "train_HR/0001.png ... 0800.png and valid_HR/0801.png ... 0900.png",
            "academic research only; the copyright is the photographers'",
        ),
        PublishedDataset(
            "Flickr2K",
            "Lim et al., 2017: 2650 photographs of 2K",
            {"HR": ("flickr2k_hr", "hr", "gt")},
            2650,
            (Archive("https://cv.snu.ac.kr/research/EDSR/Flickr2K.tar", "5d3f39443d5e9489bff8963f8f26cb03", 20000),),
            "https://github.com/limbee/NTIRE2017",
            "HR/000001.png ... 002650.png",
            "none stated; photographs from Flickr",
        ),
        PublishedDataset(
            "DF2K",
            "DIV2K (training) and Flickr2K: 3450 photographs",
            {"GT": ("gt", "hr", "df2k_hr", "df2k_train_hr")},
            3450,
            (),
            f"{_DIV2K}/ and https://github.com/limbee/NTIRE2017",
            "GT/, with the images of DIV2K/train_HR and Flickr2K/HR",
            "that of DIV2K and Flickr2K",
            ("DIV2K", "Flickr2K"),
        ),
        PublishedDataset(
            "RealSR",
            "Cai et al., 2019: camera pairs at x2, x3 and x4, version 3",
            {"": ()},
            0,
            (),
            "https://github.com/csjcai/RealSR",
            "Canon/Train/4/Canon_001_HR.png and Canon_001_LR4.png, ... and the lists train_x4.txt, test_x4.txt, ...",
            _SEE,
            (),
            ("realsr(v3)",),
        ),
        PublishedDataset(
            "RealSR_x1",
            "camera pairs of equal size of the NTIRE 2019 challenge, for IMDN_AS",
            {"GT": ("gt", "validationgt", "traingt", "hr"), "LQ": ("lq", "lr", "validationlr", "trainlr")},
            0,
            (),
            "https://github.com/Zheng222/IMDN/tree/master/Test_Datasets/RealSR",
            "GT/cam1_01.png and LQ/cam1_01.png, from ValidationGT and ValidationLR",
            _NONE,
            (),
            ("realsr",),
        ),
        PublishedDataset(
            "DRealSR",
            "Wei et al., 2020: camera pairs at x2, x3 and x4",
            {"": ()},
            0,
            (),
            "https://github.com/xiezw5/Component-Divide-and-Conquer-for-Real-World-Image-Super-Resolution",
            _PAIRS,
            _SEE,
        ),
        PublishedDataset(
            "D2CRealSR",
            "Li et al., 2022: camera pairs at x8",
            {"": ()},
            0,
            (),
            "https://github.com/megvii-research/D2C-SR (Google Drive)",
            _PAIRS,
            _SEE,
        ),
        PublishedDataset(
            "BSDS400",
            "Arbelaez et al., 2011: the 400 training and test photographs of BSDS500, without those of BSD100",
            {"": ()},
            400,
            (),
            "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/resources.html",
            "the images of BSDS500's folders train and test (BSD100 is its folder val)",
            "non-commercial research and education",
        ),
    )
}

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


def names() -> list[str]:
    """Return the names that `srzoo data get` knows: datasets, then weights."""
    return [*DATASETS, *WEIGHTS]


def hint(path: Path) -> str:
    """Return the command that gets or makes a missing file or folder, as the end of a message; "" if none is known.

    Args:
        path: as the option files name them, such as datasets/Set5/GT or weights/IMDN_x2.pth, below any folder.
    """
    parts = path.parts
    places = [n for n, part in enumerate(parts[:-1]) if part in ("datasets", "weights")]
    if not places:
        return ""
    place = places[-1]
    root, name = Path(*parts[:place]), parts[place + 1]
    command = _making(root, name, path)
    if not command:
        published = DATASETS.get(name) if parts[place] == "datasets" else WEIGHTS.get(Path(name).stem)
        to = "" if root == Path() else f" --to {shlex.quote(str(root))}"
        command = f"srzoo data get {published.name}{to}" if published else ""
    return f"; to get it: {command}" if command else ""


def _making(root: Path, name: str, path: Path) -> str:
    """Return the command that makes a folder from images that are there; "" if they are not."""
    folder = root / "datasets" / name
    scale = re.fullmatch(r"LRbicx(\d)", path.name)
    if scale and (folder / "GT").is_dir():
        return f"srzoo data make-lr {shlex.quote(str(folder / 'GT'))} {shlex.quote(str(folder))} --scale {scale[1]}"
    whole = path.with_name(path.name.removesuffix("_sub"))
    if path.name.endswith("_sub") and whole.is_dir():
        return f"srzoo data subimages {shlex.quote(str(whole))} {shlex.quote(str(path))}"
    source = root / "datasets" / name.removesuffix("_degraded")
    if name.endswith("_degraded") and (source / "GT").is_dir():
        return f"srzoo data degrade {shlex.quote(str(source / 'GT'))} {shlex.quote(str(folder))}"
    if name.endswith("_degraded") and source.name in DATASETS:
        return f"srzoo data get {source.name}"
    return ""
