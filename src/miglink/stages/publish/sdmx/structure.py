"""structure.xml: the code lists, concepts, data structures and data flows of what is published, as SDMX-ML 3.0.

pysdmx (extra `sdmx`) writes it, and is imported only when the format is asked for. Structures of publishers are as
miglink fills them: their code lists and concepts are miglink's, and hold no more than what a run can give.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from miglink.errors import ConfigError
from miglink.stages.publish.sdmx.flows import AGENCY, VERSION, Component, Flow

if TYPE_CHECKING:
    from pysdmx.model import Codelist, ConceptScheme, DataStructureDefinition
    from pysdmx.model import Component as Part

_TYPES = {"VARCHAR": "String", "BIGINT": "Long", "DOUBLE": "Double", "DATE": "GregorianDay"}
_NOT_INSTALLED = (
    "publish.formats: sdmx-ml needs pysdmx, which is not installed; install miglink with its extra `sdmx` "
    "(pip install 'miglink[sdmx]'), or leave the format out: sdmx-csv needs nothing"
)


def check_formats(formats: Sequence[str]) -> None:
    """Whether what the formats need is installed, before a run begins: ConfigError if not."""
    if "sdmx-ml" not in formats:
        return
    try:
        import pysdmx.io.xml.sdmx30.writer.structure  # noqa: F401
    except ImportError:
        raise ConfigError(_NOT_INSTALLED) from None


def write_structures(flows: Sequence[Flow], run: str, data_to_date: date) -> str:
    """The structures of data flows as SDMX-ML 3.0.

    No time of writing is in it: it is dated by the end of the data, so that a run repeated gives the same bytes.
    Source: SDMX 3.0 Technical Specification, section 3 (SDMX-ML); XSD of sdmx-twg/sdmx-ml.
    """
    from pysdmx.io.xml.sdmx30.writer.structure import write
    from pysdmx.model import Dataflow, Organisation
    from pysdmx.model.message import Header

    by_structure: dict[tuple[str, str, str], list[Flow]] = {}
    by_flow: dict[tuple[str, str, str], list[Flow]] = {}
    for flow in flows:
        identity = flow.identity
        by_structure.setdefault((identity.agency, flow.structure, identity.version), []).append(flow)
        by_flow.setdefault((identity.agency, identity.dataflow, identity.version), []).append(flow)
    defined = [part for same in by_structure.values() for part in _define(same)]
    dataflows = [
        Dataflow(
            id=dataflow,
            agency=agency,
            version=version,
            name=_join(flow.title for flow in same),
            description=_join(flow.description for flow in same),
            structure=f"DataStructure={agency}:{same[0].structure}({version})",
        )
        for (agency, dataflow, version), same in by_flow.items()
    ]
    header = Header(
        id=f"{run}_structure",
        prepared=datetime.combine(data_to_date, time(), UTC),
        sender=Organisation(id=AGENCY),
    )
    return f"{write([*_list_codes(flows), *defined, *dataflows], header=header)}\n"


def _list_codes(flows: Sequence[Flow]) -> "list[Codelist]":
    """The code lists, each once: what one name lists in several data flows stands in one list."""
    from pysdmx.model import Code, Codelist

    listed: dict[str, dict[str, str]] = {}
    for component in (component for flow in flows for component in flow.components):
        if component.codelist is not None:
            listed[component.codelist] = {**component.codes, **listed.get(component.codelist, {})}
    return [
        Codelist(
            id=name,
            agency=AGENCY,
            version=VERSION,
            name=name.removeprefix("CL_").replace("_", " ").capitalize(),
            items=[Code(id=code, name=_write(label)) for code, label in sorted(codes.items())],
        )
        for name, codes in sorted(listed.items())
    ]


def _define(flows: Sequence[Flow]) -> "tuple[ConceptScheme, DataStructureDefinition]":
    """The concepts and the data structure of data flows that share one."""
    from pysdmx.model import Components, Concept, ConceptScheme, DataStructureDefinition

    first, identity = flows[0], flows[0].identity
    components: dict[str, Component] = {}
    for component in (component for flow in flows for component in flow.components):
        components.setdefault(component.name, component)
    scheme = ConceptScheme(
        id=f"CS_{identity.agency.replace('.', '_')}_{first.structure}",
        agency=AGENCY,
        version=VERSION,
        name=f"Concepts of {identity.agency}:{first.structure}",
        items=[
            Concept(id=one.name, name=one.name, description=_write(one.meaning))
            for one in components.values()
        ],
    )
    definition = DataStructureDefinition(
        id=first.structure,
        agency=identity.agency,
        version=identity.version,
        name=_join(flow.title for flow in flows),
        description=_join(
            "" if flow.is_ours else f"As miglink fills it. {flow.description}" for flow in flows
        ),
        components=Components([_describe(one, scheme.id) for one in components.values()]),
    )
    return scheme, definition


def _describe(component: Component, scheme: str) -> "Part":
    """A component with its concept and what may stand in it."""
    from pysdmx.model import Codelist, DataType, ItemReference, Role
    from pysdmx.model import Component as Part

    roles = {"attribute": Role.ATTRIBUTE, "measure": Role.MEASURE}
    dtype: DataType | None = DataType(_TYPES[component.type])
    codes = None
    if component.role == "time":
        dtype = DataType.PERIOD
    elif component.codelist is not None:
        codes = Codelist(id=component.codelist, agency=AGENCY, version=VERSION)
        dtype = None
    return Part(
        id=component.name,
        required=component.role in ("dimension", "time"),
        role=roles.get(component.role, Role.DIMENSION),
        concept=ItemReference("Concept", AGENCY, scheme, VERSION, component.name),
        local_dtype=dtype,
        local_codes=codes,
        attachment_level="O" if component.role == "attribute" else None,
    )


def _join(texts: Iterable[str]) -> str:
    """Different texts as one."""
    return _write("; ".join(dict.fromkeys(text for text in texts if text)))


def _write(text: str) -> str:
    """A text without straight apostrophes, which pysdmx writes as quotation marks."""
    return text.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")
