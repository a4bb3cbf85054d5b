# SPDX-License-Identifier: MIT
"""SPEAD-64-48 heaps and captures of them, written byte by byte from the specification."""
import struct

NAME, DESCRIPTION, SHAPE, FORMAT, ID, DTYPE = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15


def immediate(item, value):
    return struct.pack(">Q", 1 << 63 | item << 48 | value & (1 << 48) - 1)


def address(item, offset):
    return struct.pack(">Q", item << 48 | offset)


def packet(count, items, payload=None):
    """A heap in one packet; items: (id, number) or (id, bytes), in this order."""
    pointers, data = b"", b""
    for item, value in items:
        if isinstance(value, int):
            pointers += immediate(item, value)
        else:
            pointers += address(item, len(data))
            data += value
    data = data or b"\0"
    head = immediate(1, count) + immediate(2, len(data)) + immediate(3, 0) + immediate(4, len(data))
    return struct.pack(">BBBBHH", 0x53, 4, 2, 6, 0, len(head + pointers) // 8) + head + pointers + data


def packets(count, items, size):
    """The same in packets of `size` bytes of payload each."""
    whole = packet(count, items)
    number = struct.unpack(">H", whole[6:8])[0]
    pointers, payload = whole[8 + 32:8 + number * 8], whole[8 + number * 8:]
    for at in range(0, len(payload), size):
        part = payload[at:at + size]
        head = immediate(1, count) + immediate(2, len(payload)) + immediate(3, at) + immediate(4, len(part))
        more = pointers if at == 0 else b""
        yield struct.pack(">BBBBHH", 0x53, 4, 2, 6, 0, len(head + more) // 8) + head + more + part


def descriptor(item, name, shape=(), format="", dtype=""):
    """The bytes of a descriptor; format "i16" or "u8,u8"; -1 in a shape: variable."""
    fields = b"".join(struct.pack(">cH", field[0].encode(), int(field[1:])) for field in format.split(",") if field)
    sizes = b"".join(struct.pack(">B", size < 0) + max(size, 0).to_bytes(6, "big") for size in shape)
    items = [(ID, item), (NAME, name.encode()), (DESCRIPTION, b"text"), (FORMAT, fields), (SHAPE, sizes)]
    return packet(1, items + ([(DTYPE, dtype.encode())] if dtype else []))


def stop(count):
    return packet(count, [(6, 2)])


def capture(path, datagrams, port=7148, start=1_700_000_000.0, step=0.001):
    """Writes a pcap file of UDP datagrams; an element may be (sender's port, datagram)."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 1 << 18, 1))
        for i, datagram in enumerate(datagrams):
            source, data = datagram if isinstance(datagram, tuple) else (4000, datagram)
            udp = struct.pack(">HHHH", source, port, len(data) + 8, 0) + data
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, len(udp) + 20, 0, 0, 64, 17, 0, b"\x7f\0\0\1", b"\x7f\0\0\1")
            frame = b"\2" * 12 + b"\x08\0" + ip + udp
            seconds = start + i * step
            file.write(struct.pack("<IIII", int(seconds), round(seconds % 1 * 1e6), len(frame), len(frame)) + frame)
    return path
