"""Archives are undone whole or refused."""

from __future__ import annotations

import gzip
import subprocess
import zlib
from pathlib import Path

import pyarrow
import pytest

from dinmo_pipeline.formats.decompress import open_plain
from dinmo_pipeline.formats.reader import FileRefused

TEXT = b"id;name\n" + b"".join(b"%d;name %d\n" % (number, number * 7919 % 1000) for number in range(20_000))


def zstd(data: bytes) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as out:
        out.write(data)
    return bytes(sink.getvalue().to_pybytes())


PACKED = {".gz": gzip.compress(TEXT), ".zst": zstd(TEXT)}


def read(path: Path) -> bytes:
    with open_plain(path) as file:
        return file.read()


@pytest.mark.parametrize("name", ["a.csv", "[a]*? 'b' \"c\" é\udce9.csv", "a.csv.gz", "A.CSV.GZ", "a.csv.zst", "[*].json.zst"])
def test_a_file_is_read_by_its_exact_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(PACKED.get(path.suffix.lower(), TEXT))

    assert read(path) == TEXT


def test_an_archive_of_several_members_is_read_to_its_end(tmp_path: Path) -> None:
    for ending, packed in PACKED.items():
        path = tmp_path / f"twice{ending}"
        path.write_bytes(packed + packed)

        assert read(path) == TEXT + TEXT


def test_what_the_gzip_command_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT)
    subprocess.run(["gzip", "-9", str(path)], check=True)

    assert read(tmp_path / "a.csv.gz") == TEXT


@pytest.mark.parametrize("ending", PACKED)
def test_a_truncated_archive_is_refused_wherever_it_is_cut(ending: str, tmp_path: Path) -> None:
    packed = PACKED[ending]
    path = tmp_path / f"cut{ending}"
    for kept in {1, 5, 11, len(packed) // 3, len(packed) // 2, len(packed) - 9, len(packed) - 1}:
        path.write_bytes(packed[:kept])

        with pytest.raises(
            FileRefused, match=rf"cut{ending}: the \w+ archive is damaged or cut off after [\d,]+ bytes .*Ask for the file again"
        ):
            read(path)


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("damaged", ["header", "middle", "garbage after it", "not packed at all"])
def test_a_damaged_archive_is_refused(ending: str, damaged: str, tmp_path: Path) -> None:
    packed = bytearray(PACKED[ending])
    if damaged == "header":
        packed[0] ^= 0xFF
    elif damaged == "middle":
        packed[len(packed) // 2] ^= 0x55
    elif damaged == "garbage after it":
        packed += b"garbage"
    else:
        packed = bytearray(TEXT)
    path = tmp_path / f"bad{ending}"
    path.write_bytes(packed)

    with pytest.raises(FileRefused, match="damaged or cut off"):
        read(path)


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    packed = bytearray(PACKED[".gz"])
    packed[-6] ^= 1
    path.write_bytes(packed)

    with pytest.raises(FileRefused, match="damaged"):
        read(path)


def test_a_bomb_is_refused_with_the_name_of_the_limit(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, wbits=31)
    block = b"1;2\n" * 262_144
    path = tmp_path / "bomb.csv.gz"
    with path.open("wb") as file:
        for _ in range(400):
            file.write(packer.compress(block))
        file.write(packer.flush())
    buffer = bytearray(1 << 20)
    seen = 0

    with open_plain(path) as stream:

        def read_on() -> None:
            nonlocal seen
            while count := stream.readinto(buffer):
                seen += count

        with pytest.raises(FileRefused, match=r"past 500 times.*raise unpacked_ratio in"):
            read_on()

    assert seen < 300 * 1024 * 1024


def test_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.zst"
    path.write_bytes(PACKED[".zst"])
    stream = open_plain(path)
    stream.close()
    stream.close()

    with pytest.raises(ValueError, match="closed"):
        stream.read(1)


ONE_FRAME = pyarrow.Codec("zstd").compress(TEXT, asbytes=True)
NOTE = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"
WHOLE = {".gz": PACKED[".gz"], ".zst": PACKED[".zst"], ".a.zst": ONE_FRAME, ".b.zst": NOTE + ONE_FRAME + zstd(b"") + NOTE}


@pytest.mark.parametrize("ending", WHOLE)
@pytest.mark.parametrize("padding", [1, 3, 512, 1_000_000])
def test_zeros_after_an_archive_are_no_content(ending: str, padding: int, tmp_path: Path) -> None:
    path = tmp_path / f"a.csv{ending}"
    path.write_bytes(WHOLE[ending] + bytes(padding))

    assert read(path) == TEXT


@pytest.mark.parametrize("ending", WHOLE)
@pytest.mark.parametrize("after", [b"x", b"garbage after it", bytes(512) + b"x", bytes(512) + ONE_FRAME, b"\x28"])
def test_what_follows_an_archive_is_told(ending: str, after: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"a.csv{ending}"
    path.write_bytes(WHOLE[ending] + after)
    end, found = f"{len(WHOLE[ending]):,}", after[:4].hex(" ")

    with pytest.raises(FileRefused, match=rf"ends at byte {end}, and {len(after):,} bytes follow .* \(they begin with {found}\)"):
        read(path)


def test_a_row_of_the_same_letter_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.zst"
    path.write_bytes(zstd(b"a" * 10_000_000) + ONE_FRAME)

    assert read(path) == b"a" * 10_000_000 + TEXT
