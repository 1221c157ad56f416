"""A libvirt domain's XML as a tree that writes back what it read.

Prefixes stay as they are written (no namespace is looked up), because a domain that goes back to
its owner must be the one that came: other programs' metadata keep their names, and so does
``qemu:commandline``. Our own metadata is found by its namespace, whatever its prefix.
"""

from __future__ import annotations

from phyllome_seat.model.errors import ApplyError

TYPE_CHECKING = False  # a scan without guests never reads XML
if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

NAMESPACE = "https://phyllo.me/xmlns/seat/1.0"
PREFIX = "phyllome"
ALIAS_PREFIX = "ua-phyllome-"  # libvirt keeps only aliases that start with "ua-": formatdomain


class DomainXmlError(ApplyError):
    """A text that is no libvirt domain."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"domain XML: {why}", hint="`virsh dumpxml --inactive NAME` shows what libvirt has"
        )


def parse_domain(xml: str) -> Element:
    """Return the ``domain`` element. Raises DomainXmlError.

    A document type is refused: libvirt writes none, and it is where entities are declared.
    """
    from xml.etree.ElementTree import TreeBuilder
    from xml.parsers.expat import ExpatError, ParserCreate

    def refuse(*_: object) -> None:
        raise DomainXmlError("it declares a document type, which libvirt never writes")

    builder = TreeBuilder(insert_comments=True)
    parser = ParserCreate("utf-8")  # a str has no other encoding, whatever it declares
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.CommentHandler = builder.comment
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(xml.encode(), True)
    except (ExpatError, UnicodeEncodeError) as error:
        raise DomainXmlError(str(error)) from error
    root: Element = builder.close()
    if root.tag != "domain":
        raise DomainXmlError(f"its first element is {root.tag!r}, not 'domain'")
    return root


def render_domain(domain: Element) -> str:
    """Return the element as text, the inverse of `parse_domain`; ends with a line feed."""
    from xml.etree.ElementTree import tostring

    return tostring(domain, encoding="unicode").rstrip() + "\n"


def same(one: Element, other: Element) -> bool:
    """Return whether two elements say the same: blanks between elements and the order of
    attributes say nothing.
    """
    return (
        one.tag == other.tag
        and one.attrib == other.attrib
        and (one.text or "").strip() == (other.text or "").strip()
        and len(one) == len(other)
        and all(same(a, b) for a, b in zip(one, other, strict=True))
    )


def child(parent: Element, tag: str) -> Element:
    """Return the first child with this tag, added where there is none."""
    found = parent.find(tag)
    return add(parent, tag) if found is None else found


def add(parent: Element, tag: str, attributes: dict[str, str] | None = None) -> Element:
    """Return a new last child of `parent`, on a line of its own."""
    from xml.etree.ElementTree import SubElement

    inner = parent.text if len(parent) else None
    last = parent[-1] if len(parent) else None
    new = SubElement(parent, tag, attributes or {})
    if last is not None and inner and not inner.strip():
        last.tail, new.tail = inner, last.tail
    return new


def remove(parent: Element, gone: Element) -> None:
    """Take a child out, and the line break that came with it."""
    index = list(parent).index(gone)
    if index == len(parent) - 1 and index:
        parent[index - 1].tail = gone.tail
    parent.remove(gone)


def find_ours(domain: Element) -> Element | None:
    """Return our element in the domain's metadata, known by its namespace."""
    for found in domain.findall("metadata/*"):
        prefix = str(found.tag).rpartition(":")[0]
        if found.get(f"xmlns:{prefix}" if prefix else "xmlns") == NAMESPACE:
            return found
    return None
