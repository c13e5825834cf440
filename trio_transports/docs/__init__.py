"""The guides, and the reference made from the docstrings, as one HTML page."""

from .page import build_page as build_page
