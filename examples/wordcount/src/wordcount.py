"""Finds text files, counts their words, and draws the table."""
import re
from collections import Counter
from pathlib import Path

TEXT_FILES = {".md", ".rst", ".txt"}

# Words that are frequent in any English text and say nothing about this one.
COMMON = set("""
    about after again all also always and another any are because been before being both but can could does done each
    else every for from had has have here how into its itself just may more most much must neither never nor not now
    off once one only other others our out over own same she should since some such than that the their them then there
    these they this those through too under until upon very was were what when where whether which while who whose why
    will with without would you your
""".split())


def list_files(folder):
    files = sorted(str(path) for path in Path(folder).rglob("*") if path.suffix in TEXT_FILES)
    if not files:
        raise FileNotFoundError(f"no text files in {folder}")
    return files


def count_words(file):
    words = re.findall(r"[a-z]{3,}", Path(file).read_text(encoding="utf-8", errors="replace").lower())
    return list(Counter(word for word in words if word not in COMMON).items())


def table(totals, size):
    """The most frequent words with their counts, the longest bar for the first."""
    top = Counter(totals).most_common(size)
    most = top[0][1]
    lines = [f"{word:<14} {count:>6}  {'█' * max(1, 40 * count // most)}" for word, count in top]
    return "\n".join([*lines, f"{len(totals)} different words, {sum(totals.values())} in all"])
