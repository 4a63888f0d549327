"""A module of the project that is named like the one that Hark gives to workers, which wins."""
raise ImportError("the project's own `hark`")
