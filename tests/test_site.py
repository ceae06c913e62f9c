"""The site of docs/: built without a network and without a warning, its links among them."""

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(source), str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_site_is_built_without_a_warning_and_has_the_docstrings(tmp_path):
    pytest.importorskip("furo", reason="pip install -e '.[dev]'")
    done = build(DOCS, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    api = (tmp_path / "site" / "api.html").read_text()
    for name in ("kdlab.run", "kdlab.losses.DistillationLoss", "kdlab.data.ClassificationData"):
        assert f'id="{name}"' in api
    assert "The weighted sum of a soft-target and a hard-target loss." in api


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path):
    pytest.importorskip("furo", reason="pip install -e '.[dev]'")
    (tmp_path / "conf.py").write_text(
        (DOCS / "conf.py").read_text().replace("Path(__file__).parent.parent", f"Path({str(DOCS.parent)!r})")
    )
    (tmp_path / "index.md").write_text("# Title\n\n[gone](gone.md)\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert "gone.md" in done.stderr
