"""What the site adds to the pages here: README, CHANGELOG and CONTRIBUTING as pages, and files that pages link to.

In the repository links lead to files beside or above a page, which any code host follows. On the site a file outside
of docs/ lies as text under files/, so that it needs no host's address. A link to what there is not is left as it is,
and ends the build.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
LINK = re.compile(r'(\]\(|\b(?:src|srcset|href)=")(?!\w+:|#|/)([^)"\s#]+)')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages from outside, and the files that any page links to."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    linked = set()
    for file in files.documentation_pages():
        source = _source(file.src_uri)
        linked |= {_target(source, match[2]) for match in LINK.finditer(file.content_string)}
    for path in sorted(linked):
        if _is_copied(path):
            files.append(File.generated(config, _copy(path), content=(ROOT / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with links as the site has them."""
    source, here = _source(page.file.src_uri), posixpath.dirname(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        path = _target(source, match[2])
        if path in PAGES:
            target = PAGES[path]
        elif path.startswith("docs/"):
            target = path.removeprefix("docs/")
        elif _is_copied(path):
            target = _copy(path)
        else:
            return match[0]
        return match[1] + posixpath.relpath(target, here or ".")

    return LINK.sub(moved, markdown)


def _source(page: str) -> str:
    """The repository's file that a page of the site is made from."""
    return next((source for source, made in PAGES.items() if made == page), f"docs/{page}")


def _target(source: str, link: str) -> str:
    """The repository's file that a link in ``source`` leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def _is_copied(path: str) -> bool:
    return path not in PAGES and not path.startswith(("docs/", "..")) and (ROOT / path).is_file()


def _copy(path: str) -> str:
    return f"files/{path}.txt"
