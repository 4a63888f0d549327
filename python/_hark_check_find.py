"""Finds modules where a worker would find them, without running any of their code.

Works in an interpreter that was started with -I -S -B. The search path is composed as `site` would. Code that `site` would
run, in `.pth` files and customization modules, is only read: if it changes how modules are found, a module that is not
found here may still exist.
"""
import os
import re
import site
import sys
from importlib.machinery import EXTENSION_SUFFIXES

# Files that run code at every start and add no modules.
HARMLESS = {"distutils-precedence.pth", "_virtualenv.pth", "a1_coverage.pth"}

# Signs of code that changes where modules are found.
CHANGES = ("sys.path", "meta_path", "path_hooks", "addsitedir", "sys.modules", "ModuleType")

IMPORTED = re.compile(r"\b(?:import|from)\s+([A-Za-z_]\w*)")


class Unknowable:
    """A module that is unknown without running it: written in C, in an archive, or provided by a hook."""


UNKNOWABLE = Unknowable()


class Found:
    """A module with its source file, or None for a namespace package; `paths` are the folders of a package's submodules."""

    def __init__(self, name, file, paths):
        self.name, self.file, self.paths = name, file, paths


class Finder:
    """Searches the same folders, in the same order, as a worker does because of `_hark_modules.ProjectModules`."""

    def __init__(self, own_folders):
        self.own = [os.path.abspath(folder) for folder in own_folders]
        self.has_hooks = "PYTHONHOME" in os.environ
        self.standard = [each for each in sys.path if each]
        self.others = [os.path.abspath(each) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
        self.others += self.standard
        at = len(self.others)
        for folder in _site_folders():
            self.add_site_folder(folder)
        self.folders = [*self.others[:at], *self.own, *self.others[at:]]
        if any(self.may_change_paths(name) for name in ("sitecustomize", "usercustomize")):
            self.has_hooks = True

    def add_site_folder(self, folder):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            return
        self.others.append(folder)
        for name in names:
            if name.endswith(".pth") and name not in HARMLESS:
                for line in _text_of(os.path.join(folder, name)).splitlines():
                    line = line.strip()
                    if line.startswith(("import ", "import\t")):
                        modules = set(IMPORTED.findall(line)) - set(sys.builtin_module_names)
                        if any(change in line for change in CHANGES) or any(map(self.may_change_paths, modules)):
                            self.has_hooks = True
                    elif line and not line.startswith("#"):
                        self.others.append(os.path.join(folder, line))

    def may_change_paths(self, name):
        """Whether loading this module may change where modules are found, as far as its text shows."""
        if self.in_folders(name, self.standard) is not None and "customize" not in name:
            return False
        found = self.in_folders(name, self.others)
        text = _text_of(found.file) if isinstance(found, Found) and found.file else ""
        return found is UNKNOWABLE or any(change in text for change in CHANGES)

    def top(self, name):
        """A top-level module: Found, UNKNOWABLE, or None if it does not exist."""
        if name in sys.builtin_module_names or name in ("hark", "__main__") or name.startswith("_hark_"):
            return UNKNOWABLE
        found = self.in_folders(name, self.folders)
        return UNKNOWABLE if found is None and self.has_hooks else found

    def in_folders(self, name, folders):
        portions = []
        for folder in folders:
            if not os.path.isdir(folder):
                if os.path.isfile(folder):
                    return UNKNOWABLE
                continue
            base = os.path.join(folder, name.rpartition(".")[2])
            if os.path.isdir(base):
                init = os.path.join(base, "__init__")
                if os.path.isfile(init + ".py"):
                    return Found(name, init + ".py", [base])
                if any(os.path.isfile(init + end) for end in (*EXTENSION_SUFFIXES, ".pyc")):
                    return UNKNOWABLE
                portions.append(base)
            if any(os.path.isfile(base + end) for end in EXTENSION_SUFFIXES):
                return UNKNOWABLE
            if os.path.isfile(base + ".py"):
                return Found(name, base + ".py", None)
            if os.path.isfile(base + ".pyc"):
                return UNKNOWABLE
        return Found(name, None, portions) if portions else None

    def is_own(self, file):
        """Whether the file belongs to the project, not to a package installed inside the project's folder."""
        is_inside = any(file.startswith(os.path.join(folder, "")) for folder in self.own)
        return is_inside and not any(os.sep + name + os.sep in file for name in ("site-packages", "dist-packages"))

    def names_beside(self, paths):
        """The names of modules in these folders."""
        names = set()
        for folder in paths:
            try:
                entries = os.listdir(folder)
            except OSError:
                continue
            for entry in entries:
                name, end = os.path.splitext(entry)
                is_module = end == ".py" or not end and os.path.isdir(os.path.join(folder, entry))
                if is_module and name.isidentifier() and not name.startswith("__"):
                    names.add(name)
        return names


def _site_folders():
    """The folders of installed packages, as `site` finds them for this interpreter and its virtual environment."""
    environment = _environment()
    bases = list(dict.fromkeys((sys.base_prefix, sys.base_exec_prefix)))
    if not environment:
        return site.getsitepackages(bases) + [site.getusersitepackages()]
    folder, has_system = environment
    # Debian's `site` checks whether it is in an environment.
    sys.prefix = sys.exec_prefix = folder
    folders = site.getsitepackages([folder])
    if has_system:
        sys.prefix, sys.exec_prefix = sys.base_prefix, sys.base_exec_prefix
        folders += site.getsitepackages(bases) + [site.getusersitepackages()]
    return folders


def _environment():
    """The folder of the virtual environment, and whether it includes the system's packages."""
    near = os.path.dirname(os.path.abspath(sys.executable or "python"))
    for folder in (near, os.path.dirname(near)):
        text = _text_of(os.path.join(folder, "pyvenv.cfg"))
        if text:
            lines = (line.partition("=")[::2] for line in text.lower().splitlines())
            settings = {key.strip(): value.strip() for key, value in lines}
            return os.path.dirname(near), settings.get("include-system-site-packages") == "true"
    return None


def _text_of(file):
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read()
    except OSError:
        return ""
