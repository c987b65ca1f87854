"""Web pages that Google Drive sends with status 200 in the place of a file, and what they mean."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

_QUOTA = ("quota exceeded", "too many users have viewed or downloaded", "download quota", "can't view or download")
_ACCESS = ("you need access", "request access", "you need permission", "sign in", "servicelogin")
_MISSING = ("file does not exist", "file you have requested does not exist", "not found", "404.")


class _Form(HTMLParser):
    """The first form of a page: its address and hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._inside = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag == "form" and self.action is None:
            self.action, self._inside = values.get("action") or "", True
        elif tag == "input" and self._inside and values.get("name"):
            self.fields[values["name"]] = values.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


def confirmed_address(page: str, address: str) -> str | None:
    """The address behind "Download anyway" of a virus scan warning; None if the page is another one.

    It must be of the same host as `address`, or of Google's: a page does not choose where we go.
    """
    if "virus scan warning" not in page.lower() and 'id="download-form"' not in page.lower():
        return None
    form = _Form()
    form.feed(page)
    if form.action is None:
        return None
    target = urlsplit(urljoin(address, form.action))
    host = target.hostname or ""
    if host != urlsplit(address).hostname and not host.endswith((".google.com", ".googleusercontent.com")):
        return None
    if target.scheme != urlsplit(address).scheme:
        return None
    query = "&".join(part for part in (target.query, urlencode(form.fields)) if part)
    return target._replace(query=query, fragment="").geturl()


def meaning(page: str) -> str:
    """What a page instead of a file says, as a clause: for Google Drive its reason, else that it is a web page."""
    text = page.lower()
    if any(phrase in text for phrase in _QUOTA):
        return "Google Drive's download quota of the file is used up; it is lifted after about a day"
    if any(phrase in text for phrase in _ACCESS):
        return "it asks to sign in: the file is not public"
    if any(phrase in text for phrase in _MISSING):
        return "a web page says that there is no such file"
    if "virus scan warning" in text:
        return "Google Drive asks for a confirmation that this version does not know how to give"
    return "it sent a web page instead of the file"
