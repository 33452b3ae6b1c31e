"""An end of a WebRTC connection by aiortc, told what to do by lines of its input.

Lines are words with a space between them; bytes and descriptions are hexadecimal. What happens is told by lines of the
output that begin with a mark. It keeps to the loopback address. `tests/src/aiortc.rs` starts it.
"""

import asyncio
import sys

import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

MARK = "FERRY-AIORTC "

# The longest line: a message of a few hundred KiB.
LINE_LIMIT = 4 << 20

# It leaves the loopback address out by itself, and would ask a server on the internet.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
CONFIGURATION = RTCConfiguration(iceServers=[])


def say(*words):
    print(MARK + " ".join(str(word) for word in words), flush=True)


class Peer:
    def __init__(self):
        self.connection = RTCPeerConnection(CONFIGURATION)
        self.channels = {}
        # Of channels whose messages are only counted: how many have come, and how many are to come.
        self.counted = {}
        self.connection.on("connectionstatechange", self.state_changed)
        self.connection.on("datachannel", self.announced)

    def state_changed(self):
        say("state", self.connection.connectionState)

    def announced(self, channel):
        self.keep(channel)
        order = "ordered" if channel.ordered else "unordered"
        persistence = (channel.maxPacketLifeTime, channel.maxRetransmits)
        say("announced", channel.label, channel.id, channel.protocol or "-", order, *persistence)

    def keep(self, channel):
        self.channels[channel.label] = channel
        channel.on("open", lambda: say("open", channel.label, channel.id))
        channel.on("close", lambda: say("closed", channel.label))
        channel.on("message", lambda message: self.received(channel.label, message))

    def received(self, label, message):
        if label in self.counted:
            self.count(label, message)
        elif isinstance(message, str):
            say("text", label, message.encode().hex())
        else:
            say("binary", label, message.hex())

    def count(self, label, message):
        so_far, awaited = self.counted[label]
        if int.from_bytes(message[:4], "big") != so_far:
            say("disorder", label, so_far, message[:4].hex())
        self.counted[label] = (so_far + 1, awaited)
        if so_far + 1 == awaited:
            del self.counted[label]
            say("counted", label, awaited)

    async def describe(self, description):
        # All candidates are in it: aiortc tells none later.
        await self.connection.setLocalDescription(description)
        description = self.connection.localDescription
        say("description", description.type, description.sdp.encode().hex())

    async def obey(self, order, *words):
        if order == "make":
            label, number, *options = words
            options = dict(option.split("=", 1) for option in options)
            arguments = {"protocol": options.get("protocol", ""), "ordered": "unordered" not in options}
            if "lifetime" in options:
                arguments["maxPacketLifeTime"] = int(options["lifetime"])
            if "retransmits" in options:
                arguments["maxRetransmits"] = int(options["retransmits"])
            if number != "-":
                arguments.update(negotiated=True, id=int(number))
            channel = self.connection.createDataChannel(label, **arguments)
            self.keep(channel)
            if channel.readyState == "open":
                # One that both ends make is open before anybody can ask to be told.
                say("open", channel.label, channel.id)
        elif order == "offer":
            await self.describe(await self.connection.createOffer())
        elif order == "description":
            kind, text = words
            description = RTCSessionDescription(type=kind, sdp=bytes.fromhex(text).decode())
            await self.connection.setRemoteDescription(description)
            if kind == "offer":
                await self.describe(await self.connection.createAnswer())
        elif order == "candidate":
            candidate = candidate_from_sdp(" ".join(words).removeprefix("candidate:"))
            candidate.sdpMid = "0"
            await self.connection.addIceCandidate(candidate)
        elif order == "text":
            label, text = words
            self.channels[label].send(bytes.fromhex(text).decode())
        elif order == "binary":
            label, text = words
            self.channels[label].send(bytes.fromhex(text))
        elif order == "burst":
            label, count, length = words[0], int(words[1]), int(words[2])
            for number in range(count):
                self.channels[label].send(number.to_bytes(4, "big") + bytes(length - 4))
        elif order == "count":
            self.counted[words[0]] = (0, int(words[1]))
        elif order == "shut":
            self.channels[words[0]].close()
        elif order == "close":
            await self.connection.close()
            say("over")
        else:
            raise ValueError(order)


async def main():
    lines = asyncio.StreamReader(limit=LINE_LIMIT)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    peer = Peer()
    say("ready")
    while line := await lines.readline():
        words = line.decode().rstrip("\n").split(" ")
        try:
            # An empty message is a word of no letters.
            await peer.obey(*words)
        except Exception as error:
            say("refused", words[0], repr(error))
    await peer.connection.close()


asyncio.run(main())
