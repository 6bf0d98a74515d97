"""Published datasets: where they come from, under which terms, and the folders in which the option files look for them.

There is an address where a file may be fetched without a form or a browser; elsewhere a page, and the folders to make
of its files.
"""

from dataclasses import dataclass


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
        layout: folders to make by hand of the page's files.
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


_LR = {
    f"LRbicx{s}": (f"lrbicx{s}", f"lr_bicubic/x{s}", f"lrbi/x{s}", f"lr/x{s}", f"lr_x{s}", f"lr_bicubic_x{s}", f"x{s}")
    for s in (2, 3, 4)
}
_CLASSIC = {"GT": ("gt", "hr", "original", "gtmod12", "images"), **_LR}
_BENCHMARK = (Archive("https://cv.snu.ac.kr/research/EDSR/benchmark.tar", "4ace41d33c2384b97e6b320cd0afd6ba", 250),)
_DIV2K = "https://data.vision.ee.ethz.ch/cvl/DIV2K"
_BASICSR = "https://github.com/XPixelGroup/BasicSR/blob/master/docs/DatasetPreparation.md"
_NTIRE_2019 = "https://github.com/Zheng222/IMDN/tree/master/Test_Datasets/RealSR"
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
            {"GT": ("gt", "traingt", "validationgt", "hr"), "LQ": ("lq", "trainlr", "validationlr", "lr")},
            0,
            (),
            _NTIRE_2019,
            "GT/cam1_01.png and LQ/cam1_01.png, ...",
            _NONE,
            (),
            ("realsr",),
        ),
        PublishedDataset(
            "RealSR_x1_test",
            "validation pairs of that challenge",
            {"GT": ("gt", "validationgt", "hr"), "LQ": ("lq", "validationlr", "lr")},
            0,
            (),
            _NTIRE_2019,
            "GT/cam1_01.png and LQ/cam1_01.png, ..., from ValidationGT and ValidationLR",
            _NONE,
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
        PublishedDataset(
            "LSDIR",
            "Li et al., 2023: 84991 photographs; RT4KSR uses the first 1000",
            {"GT": ("gt", "hr", "train")},
            0,
            (),
            "https://data.vision.ee.ethz.ch/yawli/index.html",
            "GT/0000001.png ... of shard-00, and sub/ by `srzoo data subimages --size 512 --step 512`",
            _SEE,
        ),
        PublishedDataset(
            "GTA5",
            "Richter et al., 2016: pictures of a game; RT4KSR uses 2500",
            {"GT": ("gt", "hr", "images")},
            0,
            (),
            "https://download.visinf.tu-darmstadt.de/data/from_games/",
            "GT/00001.png ... of part 01, and sub/ by `srzoo data subimages --size 512 --step 512`",
            _SEE,
        ),
        PublishedDataset(
            "DFO",
            "DF2K and OST (Wang et al., 2018): Real-ESRGAN's training photographs",
            {"DFO": ("dfo", "gt", "hr")},
            0,
            (),
            "https://github.com/xinntao/Real-ESRGAN/blob/master/docs/Training.md",
            "DFO/ with the images of both, and DFO_sub/ by `srzoo data subimages`",
            "those of DIV2K, Flickr2K and OST",
        ),
        PublishedDataset(
            "ImageNet",
            "Russakovsky et al., 2015: 1281167 photographs",
            {"GT": ("gt", "train", "ilsvrc2012_img_train")},
            0,
            (),
            "https://image-net.org/challenges/LSVRC/2012/2012-downloads.php",
            "GT/, with the training images in any sub-folders",
            "non-commercial research and education, on application",
        ),
    )
}
