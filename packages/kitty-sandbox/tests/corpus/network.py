"""Ways out over a socket. The host listens on everything that `bait` names."""

import ctypes
import os
import socket

from corpus import attack, bait


@attack()
def tcp():
    with socket.create_connection(("127.0.0.1", bait("tcp")), 1) as link:
        return link.recv(100) == b"hello"


@attack("depends")
def tcp_over_ipv6():
    with socket.create_connection(("::1", bait("tcp6")), 1) as link:
        return link.recv(100) == b"hello"


@attack()
def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        return link.sendto(b"x", ("127.0.0.1", bait("udp")))


@attack()
def dns():
    """A question and its answer: a way out for data even where only the resolver can be reached."""
    question = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\6secret\7invalid\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(2)
        link.sendto(question, ("127.0.0.1", bait("udp")))
        return link.recv(512) == question


@attack()
def unix_path():
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(bait("unix_path"))
        return link.recv(100) == b"hello"


@attack()
def unix_abstract():
    with socket.socket(socket.AF_UNIX) as link:
        link.connect("\0" + bait("unix_abstract"))
        return link.recv(100) == b"hello"


@attack()
def datagram_to_a_path():
    """From a connected pair: no connect() and no socket(), but a datagram may name any address."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        return one.sendto(b"x", bait("unix_datagrams"))


@attack()
def datagram_to_an_abstract_name():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        return one.sendto(b"x", f"\0{bait('unix_abstract')}-datagrams")


@attack()
def unix_abstract_name_taken():
    """A name that a program of the host may want."""
    with socket.socket(socket.AF_UNIX) as link:
        link.bind(f"\0kitty-taken-{bait('unix_abstract')}")
        return "bound"


@attack()
def listening():
    with socket.create_server(("0.0.0.0", 0)) as server:
        return f"port {server.getsockname()[1]}"


@attack("as root")
def raw_ip():
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP):
        return "a raw socket"


@attack("as root")
def raw_packets():
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW):
        return "a packet socket"


@attack()
def netlink():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as link:
        link.bind((0, 0))
        return "a netlink socket"


@attack("depends")
def vsock():
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM):
        return "a vsock"


@attack("depends")
def kernel_crypto():
    with socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET) as link:
        link.bind(("hash", "sha256"))
        return "an AF_ALG socket"


@attack()
def socket_from_ctypes():
    return ctypes.CDLL(None).socket(socket.AF_INET, socket.SOCK_STREAM, 0) >= 0


@attack()
def socket_with_a_dirty_argument():
    """The kernel looks at the low half of the register; a filter that compares all of it would be fooled."""
    number = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
    return ctypes.CDLL(None).syscall(ctypes.c_long(number), ctypes.c_long(socket.AF_INET | 1 << 32), 1, 0) >= 0


@attack()
def large_socket_buffers():
    """Memory that RLIMIT_AS does not count."""
    one, other = socket.socketpair()
    with one, other:
        before = one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, before // 4)
        return one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) != before
