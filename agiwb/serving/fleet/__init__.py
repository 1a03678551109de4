"""Several servers over one model repository, which take up a new version at one moment."""
