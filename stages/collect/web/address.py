"""Which IP addresses may be connected to: the guard against SSRF (server-side request forgery).

A pure decision on the address itself, made after every name look-up and redirect.

A list of URLs comes from strangers and is fetched from inside somebody's network; what it may reach is the
public internet and nothing else. The tables are IANA's registries of special-purpose addresses (RFC 6890
and its updates), written out: Python's `is_global` is true for NAT64, 6to4 and multicast, and its
`is_private` misses 100.64.0.0/10.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_PRIVATE_4 = (
    ("loopback", IPv4Network("127.0.0.0/8")),
    ("private", IPv4Network("10.0.0.0/8")),
    ("private", IPv4Network("172.16.0.0/12")),
    ("private", IPv4Network("192.168.0.0/16")),
    ("carrier-grade NAT", IPv4Network("100.64.0.0/10")),
    ("link-local", IPv4Network("169.254.0.0/16")),
    ("benchmarking", IPv4Network("198.18.0.0/15")),  # what laboratories have
)
_NEVER_4 = (
    ("unspecified", IPv4Network("0.0.0.0/8")),
    ("protocol assignment", IPv4Network("192.0.0.0/24")),
    ("documentation", IPv4Network("192.0.2.0/24")),
    ("documentation", IPv4Network("198.51.100.0/24")),
    ("documentation", IPv4Network("203.0.113.0/24")),
    ("6to4 relay", IPv4Network("192.88.99.0/24")),
    ("cloud platform", IPv4Network("168.63.129.16/32")),  # public by its number, but answered by Azure's host
    ("multicast", IPv4Network("224.0.0.0/4")),
    ("reserved", IPv4Network("240.0.0.0/4")),
)
_PRIVATE_6 = (
    ("loopback", IPv6Network("::1/128")),
    ("private", IPv6Network("fc00::/7")),
    ("private", IPv6Network("fec0::/10")),
    ("link-local", IPv6Network("fe80::/10")),
)
_NEVER_6 = (
    ("protocol assignment", IPv6Network("2001::/23")),  # Teredo, benchmarking, ORCHID
    ("documentation", IPv6Network("2001:db8::/32")),
    ("documentation", IPv6Network("3fff::/20")),
    ("6to4", IPv6Network("2002::/16")),  # tunnels to an embedded IPv4 address; deprecated by RFC 7526
)
_GLOBAL_6 = IPv6Network("2000::/3")  # all that is handed out for the internet; the rest is something else
_NAT64 = IPv6Network("64:ff9b::/96")

Network = IPv4Network | IPv6Network


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks of texts like "10.1.0.0/16"; ValueError where a text is none."""
    return tuple(ip_network(text) for text in texts)


def forbidden(address: str, networks: Sequence[Network] = ()) -> str | None:
    """Why `address` must not be connected to, in one or two words; None if it may.

    IPv4 addresses inside IPv6 ones (mapped, NAT64) are judged as what they lead to: on an IPv6-only network
    DNS64 gives every IPv4 site a NAT64 address.

    Args:
        address: an IPv4 or IPv6 address as `socket.getpeername` gives it, perhaps with a zone
            ("fe80::1%eth0").
        networks: may be connected to although they are not public; what no host has for its own (multicast,
            reserved, unspecified) never may.
    """
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        elif IPv6Address(int(parsed)) in _NAT64:
            parsed = IPv4Address(int(parsed) & 0xFFFFFFFF)
        else:
            parsed = IPv6Address(int(parsed))  # a zone says by which interface, not where to
    if isinstance(parsed, IPv4Address):
        never, private, fine = _NEVER_4, _PRIVATE_4, True
    else:
        never, private, fine = _NEVER_6, _PRIVATE_6, parsed in _GLOBAL_6
    for why, network in private:
        if parsed in network:
            return None if any(parsed in allowed for allowed in networks) else why
    for why, network in never:
        if parsed in network:
            return why
    return None if fine else "multicast" if parsed.is_multicast else "reserved"
