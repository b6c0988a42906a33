"""Blob (Oh Hell) and its determinised tree search in plain Python, one game at a time.

This package is the oracle of the tests: it is written to be read beside the rule book, imports the standard library
only, and none of the tensor code that it judges.
"""
