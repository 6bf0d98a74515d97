"""Packaging of srzoo; tool settings live in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
requirements = [
    line.split("#")[0].strip()
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if line.split("#")[0].strip()
]

setup(
    name="srzoo",
    version="0.1.0",
    description="Super-resolution research in which every number can be checked",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["srzoo", "srzoo.*"]),
    install_requires=requirements,
    extras_require={
        "samples": ["scikit-image>=0.24"],
        "compat": ["spandrel>=0.4.2"],
        "dev": [
            "pytest>=8",
            "hypothesis>=6",
            "ruff==0.17.5",
            "pyright[nodejs]==1.1.414",
            "scikit-image>=0.24",
            "spandrel>=0.4.2",
        ],
    },
    entry_points={"console_scripts": ["srzoo=srzoo.cli:main"]},
)
