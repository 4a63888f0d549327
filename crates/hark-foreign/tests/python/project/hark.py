"""A module of the project with the same name as Hark's, which takes precedence."""
raise ImportError("the project's own `hark`")
