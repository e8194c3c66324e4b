"""SOAP as UPnP uses it (UPnP Device Architecture 1.1, 3.2): this module reads requests and writes answers. Pure.

What comes is hostile: it is bounded in size, depth and elements, its encoding is decided by us, and a document type
declaration is refused before anything in it is read, so there are no entities to expand or to fetch.
"""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape

from appliance.errors import BadInput

MOST_BODY = 64 * 1024
"""Bytes of a request's body."""
_DEEPEST, _MOST_ELEMENTS = 12, 200
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_ENCODINGS = {
    **dict.fromkeys(("utf-8", "utf8", "us-ascii", "ascii"), "utf-8"),
    **dict.fromkeys(("utf-16", "utf16"), "utf-16"),
    **dict.fromkeys(("iso-8859-1", "iso8859-1", "latin-1", "latin1"), "iso8859-1"),
    **dict.fromkeys(("windows-1252", "cp1252"), "cp1252"),
}
"""Looked up here, not among Python's: those are read from the disk, and names that it does not know are kept."""
_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9._-]{1,40})""", re.IGNORECASE)
_DECLARED = re.compile(rb"""^<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class Unreadable(BadInput):
    """The body is no SOAP request. ``status`` is the HTTP status that says so."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Fault(BadInput):
    """An action that cannot be done. ``number`` is UPnP's error code, told in a SOAP fault."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


UNKNOWN_ACTION, BAD_ARGUMENTS, FAILED = 401, 402, 501
NO_SUCH_OBJECT, BAD_SEARCH, BAD_SORT, NO_SUCH_CONTAINER = 701, 708, 709, 710


@dataclass(frozen=True, slots=True)
class Call:
    """An action asked for: the service's type, the action's name, its arguments as they were written."""

    service: str
    action: str
    arguments: Mapping[str, str]


@dataclass(slots=True)
class _Reading:
    """What the parser has seen so far. ``path`` holds (namespace, name) of the elements that are open."""

    path: list[tuple[str, str]] = field(default_factory=list)
    elements: int = 0
    call: tuple[str, str] | None = None
    arguments: dict[str, str] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)

    def start(self, name: str, _: object) -> None:
        namespace, _, local = name.rpartition(" ")
        self.path.append((namespace, local))
        self.elements += 1
        if len(self.path) > _DEEPEST or self.elements > _MOST_ELEMENTS:
            raise Unreadable("The request is nested too deeply, or has too many elements.")
        match self.path:
            case [(ns, "Envelope"), (_, "Body"), (service, action)] if ns == _SOAP:
                if self.call is not None:
                    raise Unreadable("The request has more than one action.")
                self.call = (service, action)
            case [_, (_, "Body"), _, (_, argument)]:
                if argument in self.arguments:
                    raise Fault(BAD_ARGUMENTS, "An argument is there twice.")
                self.text = []

    def data(self, text: str) -> None:
        if len(self.path) == 4:
            self.text.append(text)

    def end(self, _: str) -> None:
        match self.path:
            case [_, (_, "Body"), _, (_, argument)]:
                self.arguments[argument] = "".join(self.text)
        self.path.pop()


def call_of(body: bytes, content_type: str, soap_action: str) -> Call:
    """Return the action that a request asks for. Raises Unreadable, Fault.

    ``soap_action`` is the header ``SOAPACTION``; it is looked at only where the body names no service, as some
    control points leave its namespace out.
    """
    if len(body) > MOST_BODY:
        raise Unreadable("The request is too large.", 413)
    reading = _parsed(_text(body, content_type))
    if reading.call is None:
        raise Unreadable("The request is no SOAP envelope with an action in it.")
    service, action = reading.call
    named, _, _ = soap_action.strip().strip('"').partition("#")
    return Call(service or named, action, reading.arguments)


def _text(body: bytes, content_type: str) -> str:
    """Decode by the byte order mark, the header's charset, the XML declaration, else as UTF-8 (RFC 7303)."""
    marked = next((name for mark, name in _MARKS if body.startswith(mark)), None)
    said, declared = _CHARSET.search(content_type), _DECLARED.match(body)
    name = marked or (said[1] if said else declared[1].decode() if declared else "utf-8")
    known = marked or _ENCODINGS.get(name.lower().replace("_", "-"))
    if known is None:
        raise Unreadable("The request is in an encoding that is not understood.", 415)
    try:
        return body.decode(known)
    except UnicodeError as error:
        raise Unreadable("The request is not in the encoding that it says.") from error


def _parsed(text: str) -> _Reading:
    reading = _Reading()
    parser = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = _refuse
    parser.StartElementHandler, parser.EndElementHandler = reading.start, reading.end
    parser.CharacterDataHandler = reading.data
    try:
        parser.Parse(text.strip("\0 \t\r\n").encode("utf-8", "strict"), True)
    except expat.ExpatError as error:
        raise Unreadable("The request is not well-formed XML.") from error
    except UnicodeError as error:
        raise Unreadable("The request has characters that XML cannot have.") from error
    return reading


def _refuse(*_: object) -> int:
    raise Unreadable("The request declares a document type, which no control point needs.")


def answer(service: str, action: str, values: Mapping[str, str]) -> bytes:
    """Return the envelope that answers an action; ``values`` in the order of the service's description."""
    inner = "".join(f"<{name}>{text_of(value)}</{name}>" for name, value in values.items())
    return _envelope(f'<u:{action}Response xmlns:u="{text_of(service)}">{inner}</u:{action}Response>')


def fault(error: Fault) -> bytes:
    """Return the envelope that tells a fault; it goes with HTTP status 500 (3.2.2)."""
    return _envelope(
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>"
        f'<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{error.number}</errorCode>'
        f"<errorDescription>{text_of(error.message)}</errorDescription></UPnPError></detail></s:Fault>"
    )


def _envelope(inner: str) -> bytes:
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<s:Envelope xmlns:s="{_SOAP}" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
        f"<s:Body>{inner}</s:Body></s:Envelope>"
    )
    return text.encode()


_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text_of(text: str) -> str:
    """Return text as it stands in XML, between tags or in double quotes; what XML cannot hold is left out."""
    return escape(_FORBIDDEN.sub("", text), {'"': "&quot;"})
