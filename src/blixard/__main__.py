"""`python -m blixard`, the same as the console script."""

from blixard.cli import main

if __name__ == "__main__":
    main()
