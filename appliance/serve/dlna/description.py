"""What we say we are: this module writes the device description (UPnP Device Architecture 1.1, 2.3; DLNA). Pure."""

from dataclasses import dataclass

from appliance.serve.dlna.families import Quirks
from appliance.serve.dlna.services import EVERY, Service
from appliance.serve.dlna.soap import text_of

DEVICE = "urn:schemas-upnp-org:device:MediaServer:1"
ROOT = "/dlna"
ICONS = tuple((kind, size) for size in (120, 48) for kind in ("png", "jpg"))
"""(kind, pixels of a side), the best first: many take the first."""
ICON_TYPES = {"png": "image/png", "jpg": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class Card:
    """Who we are: ``name`` as the owner called us, ``ident`` the UUID that never changes, ``home`` our dashboard."""

    name: str
    ident: str
    version: str
    home: str


def description(card: Card, quirks: Quirks) -> bytes:
    """Return the device description for one family. Addresses in it are relative to its own."""
    icons = "".join(
        f"<icon><mimetype>{ICON_TYPES[kind]}</mimetype><width>{size}</width><height>{size}</height>"
        f"<depth>24</depth><url>{ROOT}/icon-{size}.{kind}</url></icon>"
        for kind, size in ICONS
    )
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<root xmlns="urn:schemas-upnp-org:device-1-0" xmlns:dlna="urn:schemas-dlna-org:device-1-0" '
        'xmlns:sec="http://www.sec.co.kr/dlna"><specVersion><major>1</major><minor>0</minor></specVersion><device>'
        f"<deviceType>{DEVICE}</deviceType><friendlyName>{text_of(card.name + quirks.suffix)}</friendlyName>"
        "<manufacturer>Seedkeep</manufacturer><modelDescription>Keeps and plays video channels</modelDescription>"
        f"<modelName>{text_of(quirks.model)}</modelName><modelNumber>{text_of(card.version)}</modelNumber>"
        f"<serialNumber>{card.ident[:8]}</serialNumber><UDN>uuid:{card.ident}</UDN>"
        "<dlna:X_DLNADOC>DMS-1.50</dlna:X_DLNADOC>"
        f"<sec:ProductCap>{text_of(quirks.capabilities)}</sec:ProductCap>"
        f"<sec:X_ProductCap>{text_of(quirks.capabilities)}</sec:X_ProductCap>"
        f"<iconList>{icons}</iconList><serviceList>{''.join(map(_service, EVERY))}</serviceList>"
        f"<presentationURL>{text_of(card.home)}</presentationURL></device></root>"
    )
    return text.encode()


def _service(service: Service) -> str:
    return (
        f"<service><serviceType>{service.type}</serviceType><serviceId>{service.ident}</serviceId>"
        f"<SCPDURL>{ROOT}/{service.slug}.xml</SCPDURL><controlURL>{ROOT}/control/{service.slug}</controlURL>"
        f"<eventSubURL>{ROOT}/event/{service.slug}</eventSubURL></service>"
    )
