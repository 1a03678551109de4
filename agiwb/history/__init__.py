"""The history of the workspace: to be looked through, compared, traced, repeated and tidied."""
