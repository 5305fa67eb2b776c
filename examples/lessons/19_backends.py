"""Lesson 19 in Python: a server and its clients in one loop. On Linux asyncio has only the selector loop."""

import asyncio

CLIENTS = 50
MESSAGES = 20


async def echo(reader, writer):
    while chunk := await reader.read(4096):
        writer.write(chunk)
        await writer.drain()
    writer.close()


async def client(address):
    reader, writer = await asyncio.open_connection(*address)
    echoed = 0
    for _ in range(MESSAGES):
        writer.write(b"hello")
        echoed += len(await reader.readexactly(5))
    writer.close()
    await writer.wait_closed()
    return echoed


async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    echoed = await asyncio.gather(*(client(address) for _ in range(CLIENTS)))
    server.close()
    assert sum(echoed) == CLIENTS * MESSAGES * 5
    print(f"{CLIENTS} clients, {MESSAGES} messages each, there and back")
    print("on the selector loop, which does not count its system calls")


asyncio.run(main())

# Differs: "Two loops".
#
# -                                  selector   proactor
# - epoll_wait, io_uring_enter             41         53
# - other system calls                   5302          0
# - system calls in all                  5343         53
# - operations submitted                    0       3102
# + on the selector loop, which does not count its system calls
