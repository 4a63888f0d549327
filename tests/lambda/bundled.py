"""A relocatable Python for packages: a copy of the one that runs the tests."""
import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

VERSION = "%d.%d" % sys.version_info[:2]
LIBRARY = f"lib/python{VERSION}"
LEFT_OUT = shutil.ignore_patterns("site-packages", "dist-packages", "__pycache__", "test")


def hindrance():
    """Why there can be no copy. A library of Python's own that it is linked with is found on this computer, wherever the copy is."""
    if not Path(sys.base_prefix, LIBRARY, "os.py").exists():
        return f"there is no {LIBRARY} in {sys.base_prefix}"
    return None


@contextlib.contextmanager
def settings():
    """The settings in `[instance]` for a copy."""
    base = Path(sys.base_prefix)
    with tempfile.TemporaryDirectory(prefix="hark-bundled-") as folder:
        shutil.copytree(base / LIBRARY, Path(folder, LIBRARY), ignore=LEFT_OUT)
        Path(folder, "bin").mkdir()
        shutil.copy(base / f"bin/python{VERSION}", Path(folder, "bin/python3"))
        yield f'runtime = "bundled"\nbundled_python = "{folder}"\npython_version = "{VERSION}"\n'
