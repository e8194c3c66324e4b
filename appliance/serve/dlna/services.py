"""The three services as data: their actions, arguments and variables (ContentDirectory:1, ConnectionManager:1,
X_MS_MediaReceiverRegistrar:1). This module writes each service's description from it, and checks arguments by it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.serve.dlna.soap import BAD_ARGUMENTS, UNKNOWN_ACTION, Fault, text_of

_WHOLE = re.compile(r"\s*\+?([0-9]{1,10})\s*")
_SIGNED = re.compile(r"\s*([+-]?[0-9]{1,10})\s*")
MOST_TEXT = 8192
"""Characters of one argument."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A state variable. ``kind`` is UPnP's data type; ``evented``: subscribers are told of it."""

    name: str
    kind: str = "string"
    evented: bool = False
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument. ``default`` stands for one that a sloppy control point leaves out (None: it must be there)."""

    name: str
    variable: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    takes: tuple[Argument, ...] = ()
    gives: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """A service. ``slug`` is its name in our addresses."""

    slug: str
    type: str
    ident: str
    actions: tuple[Action, ...]
    variables: tuple[Variable, ...]

    def evented(self) -> tuple[str, ...]:
        return tuple(v.name for v in self.variables if v.evented)

    def arguments(self, action: str, given: Mapping[str, str]) -> dict[str, str]:
        """Return the arguments of an action, those left out by their default. Raises Fault 401, 402."""
        found = next((one for one in self.actions if one.name == action), None)
        if found is None:
            raise Fault(UNKNOWN_ACTION, "There is no such action.")
        return {wanted.name: self._checked(wanted, given) for wanted in found.takes}

    def _checked(self, wanted: Argument, given: Mapping[str, str]) -> str:
        text = given.get(wanted.name, wanted.default)
        if text is None:
            raise Fault(BAD_ARGUMENTS, f"The argument {wanted.name} is missing.")
        if len(text) > MOST_TEXT:
            raise Fault(BAD_ARGUMENTS, f"The argument {wanted.name} is too long.")
        variable = next(v for v in self.variables if v.name == wanted.variable)
        if variable.allowed and text.strip() not in variable.allowed:
            raise Fault(BAD_ARGUMENTS, f"The argument {wanted.name} has a value that it cannot have.")
        match variable.kind:
            case "ui4":
                return str(_number(wanted.name, _WHOLE, text, 0, 2**32 - 1))
            case "i4":
                return str(_number(wanted.name, _SIGNED, text, -(2**31), 2**31 - 1))
            case _:
                return text.strip() if variable.allowed else text


def _number(name: str, form: re.Pattern[str], text: str, least: int, most: int) -> int:
    found = form.fullmatch(text)
    if found is None or not least <= int(found[1]) <= most:
        raise Fault(BAD_ARGUMENTS, f"The argument {name} is no number that it can be.")
    return int(found[1])


def _paging() -> tuple[Argument, ...]:
    return (
        Argument("Filter", "A_ARG_TYPE_Filter", "*"),
        Argument("StartingIndex", "A_ARG_TYPE_Index", "0"),
        Argument("RequestedCount", "A_ARG_TYPE_Count", "0"),
        Argument("SortCriteria", "A_ARG_TYPE_SortCriteria", ""),
    )


_PAGE = (
    Argument("Result", "A_ARG_TYPE_Result"),
    Argument("NumberReturned", "A_ARG_TYPE_Count"),
    Argument("TotalMatches", "A_ARG_TYPE_Count"),
    Argument("UpdateID", "A_ARG_TYPE_UpdateID"),
)

CONTENT_DIRECTORY = Service(
    "ContentDirectory",
    "urn:schemas-upnp-org:service:ContentDirectory:1",
    "urn:upnp-org:serviceId:ContentDirectory",
    (
        Action("GetSearchCapabilities", (), (Argument("SearchCaps", "SearchCapabilities"),)),
        Action("GetSortCapabilities", (), (Argument("SortCaps", "SortCapabilities"),)),
        Action("GetSystemUpdateID", (), (Argument("Id", "SystemUpdateID"),)),
        Action(
            "Browse",
            (Argument("ObjectID", "A_ARG_TYPE_ObjectID"), Argument("BrowseFlag", "A_ARG_TYPE_BrowseFlag"), *_paging()),
            _PAGE,
        ),
        Action(
            "Search",
            (
                Argument("ContainerID", "A_ARG_TYPE_ObjectID"),
                Argument("SearchCriteria", "A_ARG_TYPE_SearchCriteria"),
                *_paging(),
            ),
            _PAGE,
        ),
        Action("X_GetFeatureList", (), (Argument("FeatureList", "A_ARG_TYPE_Featurelist"),)),
        Action(
            "X_SetBookmark",
            (
                Argument("CategoryType", "A_ARG_TYPE_CategoryType", ""),
                Argument("RID", "A_ARG_TYPE_RID", ""),
                Argument("ObjectID", "A_ARG_TYPE_ObjectID", ""),
                Argument("PosSecond", "A_ARG_TYPE_PosSec", "0"),
            ),
        ),
    ),
    (
        Variable("TransferIDs", evented=True),
        Variable("A_ARG_TYPE_ObjectID"),
        Variable("A_ARG_TYPE_Result"),
        Variable("A_ARG_TYPE_SearchCriteria"),
        Variable("A_ARG_TYPE_BrowseFlag", allowed=("BrowseMetadata", "BrowseDirectChildren")),
        Variable("A_ARG_TYPE_Filter"),
        Variable("A_ARG_TYPE_SortCriteria"),
        Variable("A_ARG_TYPE_Index", "ui4"),
        Variable("A_ARG_TYPE_Count", "ui4"),
        Variable("A_ARG_TYPE_UpdateID", "ui4"),
        Variable("SearchCapabilities"),
        Variable("SortCapabilities"),
        Variable("SystemUpdateID", "ui4", evented=True),
        Variable("ContainerUpdateIDs", evented=True),
        Variable("A_ARG_TYPE_Featurelist"),
        Variable("A_ARG_TYPE_CategoryType"),
        Variable("A_ARG_TYPE_RID"),
        Variable("A_ARG_TYPE_PosSec"),
    ),
)

CONNECTION_MANAGER = Service(
    "ConnectionManager",
    "urn:schemas-upnp-org:service:ConnectionManager:1",
    "urn:upnp-org:serviceId:ConnectionManager",
    (
        Action("GetProtocolInfo", (), (Argument("Source", "SourceProtocolInfo"), Argument("Sink", "SinkProtocolInfo"))),
        Action("GetCurrentConnectionIDs", (), (Argument("ConnectionIDs", "CurrentConnectionIDs"),)),
        Action(
            "GetCurrentConnectionInfo",
            (Argument("ConnectionID", "A_ARG_TYPE_ConnectionID"),),
            (
                Argument("RcsID", "A_ARG_TYPE_RcsID"),
                Argument("AVTransportID", "A_ARG_TYPE_AVTransportID"),
                Argument("ProtocolInfo", "A_ARG_TYPE_ProtocolInfo"),
                Argument("PeerConnectionManager", "A_ARG_TYPE_ConnectionManager"),
                Argument("PeerConnectionID", "A_ARG_TYPE_ConnectionID"),
                Argument("Direction", "A_ARG_TYPE_Direction"),
                Argument("Status", "A_ARG_TYPE_ConnectionStatus"),
            ),
        ),
    ),
    (
        Variable("SourceProtocolInfo", evented=True),
        Variable("SinkProtocolInfo", evented=True),
        Variable("CurrentConnectionIDs", evented=True),
        Variable(
            "A_ARG_TYPE_ConnectionStatus",
            allowed=("OK", "ContentFormatMismatch", "InsufficientBandwidth", "UnreliableChannel", "Unknown"),
        ),
        Variable("A_ARG_TYPE_ConnectionManager"),
        Variable("A_ARG_TYPE_Direction", allowed=("Input", "Output")),
        Variable("A_ARG_TYPE_ProtocolInfo"),
        Variable("A_ARG_TYPE_ConnectionID", "i4"),
        Variable("A_ARG_TYPE_AVTransportID", "i4"),
        Variable("A_ARG_TYPE_RcsID", "i4"),
    ),
)

REGISTRAR = Service(
    "MediaReceiverRegistrar",
    "urn:microsoft.com:service:X_MS_MediaReceiverRegistrar:1",
    "urn:microsoft.com:serviceId:X_MS_MediaReceiverRegistrar",
    (
        Action(
            "IsAuthorized",
            (Argument("DeviceID", "A_ARG_TYPE_DeviceID", ""),),
            (Argument("Result", "A_ARG_TYPE_Result"),),
        ),
        Action(
            "RegisterDevice",
            (Argument("RegistrationReqMsg", "A_ARG_TYPE_RegistrationReqMsg", ""),),
            (Argument("RegistrationRespMsg", "A_ARG_TYPE_RegistrationRespMsg"),),
        ),
        Action(
            "IsValidated",
            (Argument("DeviceID", "A_ARG_TYPE_DeviceID", ""),),
            (Argument("Result", "A_ARG_TYPE_Result"),),
        ),
    ),
    (
        Variable("A_ARG_TYPE_DeviceID"),
        Variable("A_ARG_TYPE_Result", "int"),
        Variable("A_ARG_TYPE_RegistrationReqMsg", "bin.base64"),
        Variable("A_ARG_TYPE_RegistrationRespMsg", "bin.base64"),
        Variable("AuthorizationGrantedUpdateID", "ui4", evented=True),
        Variable("AuthorizationDeniedUpdateID", "ui4", evented=True),
        Variable("ValidationSucceededUpdateID", "ui4", evented=True),
        Variable("ValidationRevokedUpdateID", "ui4", evented=True),
    ),
)

EVERY = (CONTENT_DIRECTORY, CONNECTION_MANAGER, REGISTRAR)
BY_SLUG: Mapping[str, Service] = {service.slug: service for service in EVERY}


def scpd(service: Service) -> bytes:
    """Return a service's description (UPnP Device Architecture 1.1, 2.5)."""
    actions = "".join(map(_action, service.actions))
    variables = "".join(map(_variable, service.variables))
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n<scpd xmlns="urn:schemas-upnp-org:service-1-0">'
        "<specVersion><major>1</major><minor>0</minor></specVersion>"
        f"<actionList>{actions}</actionList><serviceStateTable>{variables}</serviceStateTable></scpd>"
    )
    return text.encode()


def _action(action: Action) -> str:
    inner = "".join(_argument(a, "in") for a in action.takes) + "".join(_argument(a, "out") for a in action.gives)
    listed = f"<argumentList>{inner}</argumentList>" if inner else ""
    return f"<action><name>{action.name}</name>{listed}</action>"


def _argument(argument: Argument, direction: str) -> str:
    return (
        f"<argument><name>{argument.name}</name><direction>{direction}</direction>"
        f"<relatedStateVariable>{argument.variable}</relatedStateVariable></argument>"
    )


def _variable(variable: Variable) -> str:
    values = "".join(f"<allowedValue>{text_of(value)}</allowedValue>" for value in variable.allowed)
    allowed = f"<allowedValueList>{values}</allowedValueList>" if values else ""
    return (
        f'<stateVariable sendEvents="{"yes" if variable.evented else "no"}"><name>{variable.name}</name>'
        f"<dataType>{variable.kind}</dataType>{allowed}</stateVariable>"
    )
