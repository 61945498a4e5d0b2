import pytest

from stages.collect.address import forbidden

PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.216.34 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1
168.63.129.15 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.88.98.255
192.88.100.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255
203.0.114.0 223.255.255.255 2001:4860:4860::8888 2606:4700:4700::1111 2a00:1450:4001::1 2400:cb00::1
2001:200::1 2001:db7::1 2003::1 3ffe::1 64:ff9b::8.8.8.8 ::ffff:8.8.8.8 2620:fe::fe
""".split()  # noqa: SIM905 - a table of short words

PRIVATE = """
127.0.0.1 127.0.0.2 127.255.255.255 10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0
192.168.255.255 100.64.0.0 100.100.100.200 100.127.255.255 169.254.0.1 169.254.169.254 ::1 fc00::
fd00:ec2::254 fdff::1 fe80::1 fe80::1%eth0 febf::1 fec0::1 ::ffff:127.0.0.1 ::ffff:10.1.2.3
::ffff:169.254.169.254 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::c0a8:1
""".split()  # noqa: SIM905 - a table of short words

NEVER = """
0.0.0.0 0.1.2.3 192.0.0.1 192.0.0.8 192.0.2.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.255
192.88.99.1 168.63.129.16 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 :: ::2 ::127.0.0.1
::ffff:0.0.0.0 ::ffff:224.0.0.1 ::ffff:0:127.0.0.1 64:ff9b::224.0.0.1 64:ff9b:1::1 100::1 2001::1 2001:2::1
2001:10::1 2001:20::1 2001:1ff::1 2001:db8::1 2002::1 2002:7f00:1:: 2002:808:808::1 3fff::1 3fff:fff:ffff::1
4000::1 5f00::1 8000::1 ff02::1 ff0e::1 ffff::1
""".split()  # noqa: SIM905 - a table of short words


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert forbidden(address) is None
    assert forbidden(address, allow_private=True) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_unless_allowed(address: str) -> None:
    assert forbidden(address)
    assert forbidden(address, allow_private=True) is None


@pytest.mark.parametrize("address", NEVER)
def test_never(address: str) -> None:
    assert forbidden(address)
    assert forbidden(address, allow_private=True)


def test_the_reason_is_named() -> None:
    assert forbidden("169.254.169.254") == "link-local"
    assert forbidden("::ffff:10.0.0.1") == "private"
    assert forbidden("ff02::1") == "multicast"
