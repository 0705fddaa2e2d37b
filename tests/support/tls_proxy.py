"""A proxy that takes CONNECT for some hosts, and is each of them: it ends TLS with the certificate that it is given and
hands on to a server on loopback. Everything else is refused.

tls_proxy.py CERT KEY BACKEND-PORT HOST...
"""

import asyncio
import ssl
import sys

cert, key, port, *hosts = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)


async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    words = head.split()
    if words[0] != b"CONNECT" or words[1].decode() not in [f"{host}:443" for host in hosts]:
        writer.write(b"HTTP/1.1 403 Not here\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        return
    writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
    await writer.drain()
    await writer.start_tls(context)
    back_reader, back_writer = await asyncio.open_connection("127.0.0.1", int(port))
    await asyncio.gather(pipe(reader, back_writer), pipe(back_reader, writer))


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
