"""Packaging of srzoo; tool settings live in pyproject.toml.

The package asks for ranges, so that installing it keeps a build of PyTorch that is already there (CUDA, ROCm or CPU);
requirements.txt pins the versions that are tested. docs/dependencies.md gives the reasons.
"""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildWithOptionFiles(build_py):
    """The build of the package, with the folder options/ copied below it.

    Users look for option files at the top of a checkout, but only `srzoo` may be installed into site-packages:
    options/train/x.yml becomes srzoo/option_files/train/x.yml, where srzoo/options/shipped.py finds it.
    """

    def finalize_options(self) -> None:
        super().finalize_options()
        target = str(Path(self.build_lib, "srzoo", "option_files"))
        # (package, source folder, build folder, files), as setuptools gathers them for files inside a package.
        self.data_files = [*self.data_files, ("srzoo", "options", target, option_files())]

    def get_source_files(self) -> list[str]:
        """List the files of a source distribution."""
        return [*super().get_source_files(), *(str(Path("options", name)) for name in option_files())]


def option_files() -> list[str]:
    """List the option files, relative to options/."""
    return sorted(str(path.relative_to(ROOT / "options")) for path in (ROOT / "options").rglob("*.yml"))


# Packages that a part of srzoo needs; each part names its extra where they are missing.
EXTRAS = {
    "samples": ["scikit-image>=0.24"],
    "report": ["matplotlib>=3.8", "scikit-learn>=1.4"],
    "metrics": ["lpips>=0.1.4", "piq>=0.8", "DISTS-pytorch>=0.1"],
    "compat": ["spandrel>=0.4.2"],
    "video": ["av>=18"],
    "export": [
        "onnx>=1.17",
        "onnxscript>=0.5",
        "onnxruntime>=1.20",
        "openvino>=2024.6",
        "pnnx>=20250530",
        "ncnn>=1.0.20250503",
    ],
    "slurm": ["submitit>=1.5"],
}
# Tests and types cover these parts; LiteRT is too large for that.
EXTRAS["dev"] = [
    *(package for extra in EXTRAS.values() for package in extra),
    "pytest>=8",
    "pytest-xdist>=3.6",
    "hypothesis>=6",
    "playwright>=1.49",
    "ruff==0.17.5",
    "pyright[nodejs]==1.1.414",
    # Builds the wheel that a test installs; basicsr 1.4.2 needs pkg_resources, which 82 removed.
    "setuptools>=70.1,<82",
]
EXTRAS["tflite"] = ["litert-torch>=0.8"]

setup(
    name="srzoo",
    version="0.1.0",
    description="Super-resolution research in which every number can be checked",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11,<3.14",
    # Naming the root makes an editable install put the checkout on sys.path. Without it setuptools installs an import
    # hook, which Python asks too late: in the folder above a checkout named srzoo, `import srzoo` would give that
    # folder as an empty namespace package.
    package_dir={"": "."},
    packages=find_packages(include=["srzoo", "srzoo.*"]),
    package_data={"srzoo": ["py.typed", "packaged/*", "report/assets/*"]},
    cmdclass={"build_py": BuildWithOptionFiles},
    install_requires=[
        # torchvision 0.26, 0.27 and 0.28 belong to torch 2.11, 2.12 and 2.13.
        "torch>=2.11,<2.14",
        "torchvision>=0.26,<0.29",
        "numpy>=1.26",
        "opencv-python-headless>=4.10",
        "pillow>=10.3",
        "pyyaml>=6.0.1",
        "pydantic>=2.8",
        "tqdm>=4.66",
        "lmdb>=1.4",
        "tensorboard>=2.16",
        "safetensors>=0.4.3",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["srzoo=srzoo.cli:main"]},
)
