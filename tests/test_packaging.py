"""Contents and requirements of an installation, and the folders that it works in."""

import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import srzoo
from tests.installation import copy_sources, make_environment, site_packages
from tests.support import ROOT

BUILD = """
import sys
from setuptools import build_meta

wheel, editable = sys.argv[1:]  # setuptools replaces sys.argv
build_meta.build_wheel(wheel)
build_meta.build_editable(editable)
"""


@dataclass(frozen=True)
class Installed:
    """A checkout named srzoo, and two environments it was installed into."""

    checkout: Path
    wheel: Path
    editable: Path


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    pytest.importorskip("setuptools", minversion="70.1", reason="building a wheel needs it: pip install -e .[dev]")
    folder = tmp_path_factory.mktemp("packaging")
    result = Installed(copy_sources(folder / "my projects" / "srzoo"), folder / "wheel", folder / "editable")
    archives = [str(folder / "built" / kind) for kind in ("wheel", "editable")]
    build = [sys.executable, "-c", BUILD, *archives]
    done = subprocess.run(build, cwd=result.checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for environment, archive in zip((result.wheel, result.editable), archives, strict=True):
        make_environment(environment)
        (file,) = Path(archive).glob("*.whl")
        with zipfile.ZipFile(file) as wheel:
            wheel.extractall(site_packages(environment))  # no code is compiled, so this installs it
    return result


def python(environment, *words, cwd):
    """Run an environment's interpreter without the variables of this process, and return what it prints."""
    done = subprocess.run(
        [str(environment / "bin" / "python"), *words],
        cwd=cwd, env={}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_wheel_has_the_package_alone_with_every_option_file(installed):
    packages = site_packages(installed.wheel)
    names = {path.name for path in packages.iterdir()} - {"packages.pth"}
    assert names == {"srzoo", f"srzoo-{srzoo.__version__}.dist-info"}
    assert (packages / "srzoo" / "py.typed").is_file()

    def contents(folder):
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert contents(packages / "srzoo" / "option_files") == contents(ROOT / "options")
    assert contents(packages / "srzoo" / "report" / "assets") == contents(ROOT / "srzoo" / "report" / "assets")


def test_option_files_of_the_wheel_are_found_from_anywhere(installed, tmp_path):
    (tmp_path / "mine.yml").write_text("base: options/train/imdn/IMDN_x2.yml\nname: mine\n")
    code = """
from pathlib import Path
from srzoo.options import load_options

for file in ("mine.yml", "options/train/imdn/IMDN_x2.yml"):
    print(load_options(Path(file), ["name=same"]).sha256)
"""
    mine, shipped = python(installed.wheel, "-c", code, cwd=tmp_path).split()
    assert mine == shipped


def test_an_editable_install_is_importable_above_the_checkout(installed):
    code = "import srzoo; print(srzoo.__file__, 'load_network' in dir(srzoo))"
    expected = f"{installed.checkout / 'srzoo' / '__init__.py'} True"
    assert python(installed.editable, "-c", code, cwd=installed.checkout.parent) == expected


def test_a_source_distribution_can_be_built_from(installed, tmp_path):
    code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=installed.checkout, capture_output=True, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    listing = subprocess.run(["tar", "tf", str(archive)], capture_output=True, text=True, check=True).stdout
    assert listing.count(".yml") == len(list((ROOT / "options").rglob("*.yml")))


def test_the_package_asks_for_ranges_that_hold_the_pins(installed):
    (metadata,) = site_packages(installed.wheel).glob("*.dist-info/METADATA")
    lines = [
        line.removeprefix("Requires-Dist: ") for line in metadata.read_text().splitlines() if "Requires-Dist" in line
    ]
    asked = {line.name: line for line in map(Requirement, lines) if not line.marker}
    pinned = {line.name: line for line in map(Requirement, (ROOT / "requirements.txt").read_text().splitlines())}
    assert asked.keys() == pinned.keys()
    for name in ("torch", "torchvision"):
        (pin,) = pinned[name].specifier
        assert pin.operator == "=="
        assert asked[name].specifier.contains(pin.version)
        assert not any(part.operator == "==" for part in asked[name].specifier)


def test_the_package_needs_no_optional_package_to_import():
    code = """
import sys
for name in ("torchvision", "lmdb", "tensorboard", "timm", "einops", "spandrel", "skimage"):
    sys.modules[name] = None  # importing it raises ImportError
import srzoo, srzoo.cli
from srzoo.registry import ARCHS, LOSSES
srzoo.load_network, srzoo.load_weights
net = ARCHS.build("IMDN", {}, scale=2)
assert "PerceptualLoss" in LOSSES
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_public_names_are_listed():
    assert set(srzoo.__all__) <= set(dir(srzoo))
    assert {"load_network", "load_weights"} <= set(srzoo.__all__)
    for name in srzoo.__all__:
        assert getattr(srzoo, name)
