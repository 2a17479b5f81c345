"""Connections, over real sockets."""

import asyncio
import socket
import threading

from starlette.responses import PlainTextResponse

from kitty_core.serving import PromptProtocol, _port, server_for


class Hurried(PromptProtocol):
    head_within_sec = 0.3


async def slow(scope, receive, send):
    if scope["type"] == "http":
        await asyncio.sleep(1)
        await PlainTextResponse("done")(scope, receive, send)


def test_a_connection_without_a_whole_head_is_closed_and_a_request_under_way_is_not():
    server = server_for(slow, "127.0.0.1", 0, grace_sec=1)
    server.config.http = Hurried
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    address = ("127.0.0.1", _port(server, thread))
    with socket.create_connection(address, 10) as half, socket.create_connection(address, 10) as whole:
        half.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        whole.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert half.recv(100) == b""
        assert b"200 OK" in whole.recv(1000)
        whole.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        while whole.recv(1000):
            pass
    server.should_exit = True
    thread.join(10)
