"""What the command lines of all programs here have in common."""

import argparse


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the flags in one line, takes no abbreviated ones, and shows its description as it is."""

    def __init__(self, **options: object) -> None:
        options = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False, **options}
        super().__init__(**options)

    def error(self, message: str) -> None:
        self.exit(2, f"error: {message} (--help lists all flags)\n")
