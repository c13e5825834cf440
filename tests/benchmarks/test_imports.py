"""What an import costs is told without what compiling costs, which a user pays once."""

from pathlib import Path

import pytest

from benchmarks.scenarios.imports import took_s


@pytest.mark.parametrize("setting", ["PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"])
def test_what_was_imported_once_stays_compiled(setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(setting, "1")
    took_s("import trio_transports", str(tmp_path))
    assert [*tmp_path.rglob("trio_transports/__init__*.pyc")]


def test_a_second_import_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    counted = "import trio_transports.errors"
    took_s(counted, str(tmp_path))
    (written,) = tmp_path.rglob("trio_transports/errors*.pyc")
    before = written.stat().st_mtime_ns
    took_s(counted, str(tmp_path))
    assert written.stat().st_mtime_ns == before
