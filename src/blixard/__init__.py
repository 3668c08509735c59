"""blixard: export a whole VM cluster to one file and bring it back anywhere."""

__version__ = "0.1.0"
