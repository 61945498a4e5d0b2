"""Where may be connected to: IANA's registries of special-purpose addresses, block by block."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest

from stages.collect.web.address import Network, forbidden, networks_of

# Which of them are "Globally Reachable" in the registries (RFC 6890 and its updates), with what they lie in;
# those inside 192.0.0.0/24 and 2001::/23 are left to the whole block, which no picture comes from.
LOCAL = """
10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16 198.18.0.0/15
::1/128 fc00::/7 fe80::/10 fec0::/10
"""
NEVER = """
0.0.0.0/8 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
168.63.129.16/32
::/128 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 5f00::/16 ff00::/8
"""
BLOCKS = [ip_network(text) for text in f"{LOCAL} {NEVER}".split()]
LOCAL_BLOCKS = [ip_network(text) for text in LOCAL.split()]
INTERNET_6 = IPv6Network("2000::/3")
EVERYWHERE = networks_of(["0.0.0.0/0", "::/0"])


def edges() -> Iterator[str]:
    """First and last address of each block, and the neighbours on both sides."""
    for block in BLOCKS:
        for number in {int(block[0]) - 1, int(block[0]), int(block[-1]), int(block[-1]) + 1}:
            if 0 <= number < 2**block.max_prefixlen:
                yield str(type(block[0])(number))


def mapped() -> Iterator[str]:
    """The same IPv4 addresses as an IPv6 one leads to them."""
    for text in edges():
        if "." in text and ":" not in text:
            yield f"::ffff:{text}"
            yield f"64:ff9b::{text}"


def expected(text: str) -> tuple[bool, bool]:
    """Whether it may be connected to, and whether it may where everything is allowed."""
    if text.startswith(("::ffff:", "64:ff9b::")) and "." in text:
        text = text.rpartition(":")[2]
    address = ip_address(text)
    public = not any(address in block for block in BLOCKS) and (address.version == 4 or address in INTERNET_6)
    return public, public or any(address in block for block in LOCAL_BLOCKS)


ADDRESSES = sorted({*edges(), *mapped()})


def test_there_are_enough_of_them() -> None:
    assert len(ADDRESSES) >= 200


@pytest.mark.parametrize("address", ADDRESSES)
def test_edges_of_every_block(address: str) -> None:
    public, allowed = expected(address)
    assert (forbidden(address) is None) == public
    assert (forbidden(address, EVERYWHERE) is None) == allowed


INTERNET = """
1.1.1.1 8.8.8.8 93.184.216.34 2001:4860:4860::8888 2606:4700:4700::1111 2a00:1450:4001::1 2620:fe::fe
64:ff9b::8.8.8.8 ::ffff:8.8.8.8
"""


@pytest.mark.parametrize("address", INTERNET.split())
def test_the_internet(address: str) -> None:
    assert forbidden(address) is None


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("169.254.169.254", "link-local"),
        ("fd00:ec2::254", "private"),
        ("fe80::1%eth0", "link-local"),
        ("::ffff:10.0.0.1", "private"),
        ("::ffff:169.254.169.254", "link-local"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b:1::a00:1", "reserved"),
        ("2002:7f00:1::", "6to4"),
        ("2001:0:808:808::1", "protocol assignment"),
        ("::127.0.0.1", "reserved"),
        ("::ffff:0:127.0.0.1", "reserved"),
        ("168.63.129.16", "cloud platform"),
        ("255.255.255.255", "reserved"),
        ("ff02::1", "multicast"),
        ("0.0.0.0", "unspecified"),
    ],
)
def test_the_reason_is_named(address: str, why: str) -> None:
    assert forbidden(address) == why


def test_networks_open_what_they_hold_and_nothing_else() -> None:
    networks = networks_of(["10.1.0.0/16", "fd00:1::/32"])
    assert forbidden("10.1.255.255", networks) is None
    assert forbidden("::ffff:10.1.0.0", networks) is None
    assert forbidden("64:ff9b::10.1.0.0", networks) is None
    assert forbidden("fd00:1::7", networks) is None
    assert [
        forbidden(address, networks) for address in ("10.2.0.0", "10.0.255.255", "fd00:2::1", "192.168.1.1")
    ] == ["private"] * 4
    assert forbidden("8.8.8.8", networks) is None


def test_a_network_has_a_form() -> None:
    assert networks_of(["10.0.0.0/8", "::1"]) == (IPv4Network("10.0.0.0/8"), IPv6Network("::1/128"))
    with pytest.raises(ValueError, match="host bits set"):
        networks_of(["10.0.0.1/8"])
    assert isinstance(networks_of([]), tuple)


def test_addresses_are_no_networks_of_the_other_family() -> None:
    everything: list[Network] = [IPv6Network("::/0")]
    assert forbidden("10.0.0.1", everything) == "private"
