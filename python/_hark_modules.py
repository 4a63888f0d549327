"""The project's modules: finding them, loading them, and noticing that their files have changed."""
import _thread
import importlib
import marshal
import os
import sys
import time
from _imp import source_hash
from importlib._bootstrap_external import MAGIC_NUMBER, cache_from_source  # `importlib.util` is slow to load.
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import CodeType, ModuleType

# The minimum interval between checks whether modules have changed.
LOOK_SECONDS = 0.2

# Two edits of a file within this time may leave it with the same modification time: the coarsest resolution of common
# file systems.
TIME_STEP_NS = 2 * 10**9

# The flags of a .pyc file that is valid for one text of the source, whatever the file's time; see PEP 552.
_CHECKED_BY_HASH = (0b11).to_bytes(4, "little")
_HEAD_LENGTH = 16
_HASH_KEY = int.from_bytes(MAGIC_NUMBER, "little")

# Folders of installed packages, which may be inside the project.
_PACKAGE_FOLDERS = tuple(os.sep + name + os.sep for name in ("site-packages", "dist-packages"))

_standard_path = list(sys.path)

# The modules loaded from there so far.
_standard = {}
_importing = _thread.RLock()


def import_standard(name):
    """A module of the standard library, even if the project has put a folder before it on `sys.path`."""
    module = _standard.get(name)
    if module is not None:
        return module
    # Threads of a function may come here at the same time, and a module that is being loaded is already in
    # `sys.modules`.
    with _importing:
        path = sys.path[:]
        sys.path[:] = _standard_path
        try:
            module = _standard[name] = importlib.import_module(name)
        finally:
            sys.path[:] = path
    return module


class ProjectModules:
    def __init__(self):
        # The project's folders, with a trailing separator, and those inside them that do not belong to the project.
        self.folders = ()
        self.foreign_folders = ()
        # The name of `python_src` as a package, if it is one.
        self.package = ""
        # The state of each loaded file, and the name under which it was loaded.
        self.files = {}
        self.names = {}
        # Warnings about them.
        self.warnings = []
        self.began = time.time()
        self.next_look = 0

    def enter(self, project, python_src):
        """Puts the project's folders on `sys.path`.

        They come after the standard library, whose modules import each other by names that a project may also use, such as
        `token` and `email`. They come before installed packages.
        """
        own = list(dict.fromkeys(map(os.path.normpath, (project, python_src))))
        real = set(map(os.path.realpath, own))
        others = [each for each in sys.path if os.path.realpath(each) not in real]
        at = max((index + 1 for index, each in enumerate(others) if _is_standard(each)), default=0)
        _standard_path[:] = others[:at]
        sys.path[:] = [*others[:at], *own, *others[at:]]
        self.folders = tuple(os.path.join(folder, "") for folder in own)
        prefixes = {os.path.join(each, "") for each in (sys.prefix, sys.base_prefix)}
        self.foreign_folders = tuple(each for each in prefixes - set(self.folders) if each.startswith(self.folders))
        sys.path_hooks.insert(0, self.finder_of)
        for path in [each for each in sys.path_importer_cache if self.is_projects(os.path.join(each, ""))]:
            del sys.path_importer_cache[path]
        parts = os.path.relpath(own[-1], own[0]).split(os.sep)
        if all(each.isidentifier() for each in parts):
            self.package = ".".join(parts)
            if parts[0] not in getattr(sys, "stdlib_module_names", ()):
                at = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else 0
                sys.meta_path.insert(at, _SourcePackage(parts[0], own[0]))

    def is_projects(self, path):
        """Whether a file, or a folder with a trailing separator, belongs to the project."""
        return (
            path.startswith(self.folders)
            and not path.startswith(self.foreign_folders)
            and not any(name in path for name in _PACKAGE_FOLDERS)
        )

    def finder_of(self, path):
        """For `sys.path_hooks`: the finder for one of the project's folders."""
        if not os.path.isdir(path) or not self.is_projects(os.path.join(path, "")):
            raise ImportError("not a folder of the project", path=path)
        return FileFinder(
            path,
            (ExtensionFileLoader, EXTENSION_SUFFIXES),
            (lambda name, path: _Loader(name, path, self), SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )

    def note_name(self, name, path):
        """Records that a module is loaded under this name, and warns if its file is already loaded under another one."""
        known = self.names.setdefault(os.path.realpath(path), name)
        if known != name and known in sys.modules:
            self.warnings.append(
                "the file `%s` is loaded twice, as `%s` and as `%s`, and each has its own variables; import it under one name"
                % (path, known, name)
            )

    def is_stale(self):
        """Whether the project's modules have changed since they were loaded."""
        now = time.monotonic()
        if now < self.next_look:
            return False
        self.next_look = now + LOOK_SECONDS
        for module in list(sys.modules.values()):
            path = _file_of(module)
            if isinstance(path, str) and self.is_projects(path) and self.has_changed(path):
                return True
        return False

    def has_changed(self, path):
        try:
            found = _stat(path)
            known = self.files.get(path)
            if known is not None:
                return known.has_changed(found, path)
        except OSError:
            # It may come back; until then the loaded module stays valid.
            return False
        # Loaded by other means: an extension, or a module in an archive.
        self.files[path] = _LoadedFile(found, None)
        # A modification time in the future would count as new for ever.
        return self.began < found.st_mtime <= time.time()

    def hint_about_shadow(self, module):
        """A hint for a message that a module lacks a name, if the project has another module with the same name."""
        name = getattr(module, "__name__", None) if isinstance(module, ModuleType) else None
        if not isinstance(name, str) or self.is_projects(str(_file_of(module))):
            return ""
        for folder in self.folders:
            for path in (folder + name + ".py", os.path.join(folder + name, "__init__.py")):
                if os.path.exists(path):
                    is_named = self.package and folder == self.folders[-1]
                    remedy = "import it as `%s.%s`" % (self.package, name) if is_named else "rename it"
                    return "; `%s` is not `%s`, which has the same name: %s" % (name, path, remedy)
        return ""

    def hint_about_import(self, error):
        """The same for an exception."""
        try:
            if isinstance(error, ImportError):
                return self.hint_about_shadow(sys.modules.get(error.name))
            return self.hint_about_shadow(getattr(error, "obj", None)) if isinstance(error, AttributeError) else ""
        except Exception:
            # The exception's attributes may behave in any way.
            return ""


class _SourcePackage:
    """For `sys.meta_path`: `src.x` is a module of the project, even if an installed package is named `src`."""

    def __init__(self, name, project):
        self.name = name
        self.path = [project]

    def find_spec(self, name, path=None, target=None):
        return PathFinder.find_spec(name, self.path, target) if name == self.name else None

    def invalidate_caches(self):
        """Does nothing: it uses only the caches of `PathFinder`."""


class _LoadedFile:
    """The state of a file when a module was loaded from it."""

    def __init__(self, found, source):
        self.state = _state_of(found)
        self.source_hash = None if source is None else source_hash(_HASH_KEY, source)
        # Until this time, an edit may leave the file with the same state.
        self.settled = max(found.st_mtime_ns, found.st_ctime_ns) + TIME_STEP_NS

    def has_changed(self, found, path):
        if _state_of(found) != self.state:
            return True
        if self.source_hash is None:
            return False
        now = time.time_ns()
        with open(path, "rb") as file:
            if source_hash(_HASH_KEY, file.read()) != self.source_hash:
                return True
        if now > self.settled:
            self.source_hash = None
        return False


class _Loader(SourceFileLoader):
    """Loads a module of the project.

    Python considers a .pyc file valid if it has recorded the source's size and its time in whole seconds, so it can miss the
    second of two edits in a second. This loader always reads the source and compares its hash.
    """

    def __init__(self, name, path, project):
        super().__init__(name, path)
        self.project = project

    def exec_module(self, module):
        self.project.note_name(module.__name__, self.path)
        super().exec_module(module)

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        found = os.stat(path)
        source = self.get_data(path)
        self.project.files[path] = _LoadedFile(found, source)
        head = MAGIC_NUMBER + _CHECKED_BY_HASH + source_hash(_HASH_KEY, source)
        cached = _cached_path(path)
        code = cached and self.cached_code(cached, head, path)
        if not code:
            code = self.source_to_code(source, path)
            if cached and not sys.dont_write_bytecode:
                self._cache_bytecode(path, cached, head + marshal.dumps(code))
        return code

    def cached_code(self, cached, head, path):
        try:
            data = self.get_data(cached)
            code = marshal.loads(memoryview(data)[_HEAD_LENGTH:]) if data.startswith(head) else None
        except (OSError, EOFError, ValueError, TypeError):
            return None
        # The folder may have been moved since the code was compiled.
        return code if isinstance(code, CodeType) and code.co_filename == path else None


def _cached_path(path):
    try:
        return cache_from_source(path)
    except NotImplementedError:
        return None


def _is_standard(folder):
    """Whether this entry of `sys.path` belongs to the standard library."""
    return folder == os.path.dirname(os.__file__) or os.path.basename(folder) == "lib-dynload"


def _state_of(found):
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _stat(path):
    """The state of a file, or of the archive that contains it."""
    while True:
        try:
            return os.stat(path)
        except NotADirectoryError:
            path = os.path.dirname(path)


def _file_of(module):
    """Reads `__file__` without `__getattr__` of the module, which may load other modules."""
    try:
        return object.__getattribute__(module, "__dict__").get("__file__")
    except AttributeError:
        return None
