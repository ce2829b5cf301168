"""Writes the character sets of crates/trim/src/sets from their sources.

usage: trim_hanzi.py UNIHAN_OTHER_MAPPINGS

- hanzi_common.txt: level 1 (characters 1 to 3,500) of the 通用规范汉字表 (State Council of the People's
  Republic of China, 2013), in its order, from the kTGH property of the Unicode Han Database: the file
  Unihan_OtherMappings.txt of https://www.unicode.org/Public/UCD/latest/ucd/Unihan.zip (on Debian
  /usr/share/unicode/Unihan_OtherMappings.txt.bz2 of the package unicode-data).
- hanzi_gb2312.txt: the 6,763 characters of rows 16 to 87 of GB/T 2312-1980, in its order, from Python's
  codec.
"""
import bz2
import pathlib
import re
import sys

SETS = pathlib.Path(__file__).resolve().parent.parent / "crates" / "trim" / "src" / "sets"


def write(name, characters, expected):
    assert len(characters) == len(set(characters)) == expected, (name, len(characters))
    lines = ["".join(characters[i : i + 50]) for i in range(0, len(characters), 50)]
    (SETS / name).write_text("\n".join(lines) + "\n", encoding="utf8")
    print(name, len(characters), characters[0], "…", characters[-1])


source = pathlib.Path(sys.argv[1])
data = bz2.decompress(source.read_bytes()) if source.suffix == ".bz2" else source.read_bytes()
table = {}
for code, value in re.findall(r"^U\+([0-9A-F]+)\tkTGH\t(.*)$", data.decode("utf8"), re.M):
    for number in re.findall(r"\b2013:(\d+)\b", value):
        assert int(number) not in table, number
        table[int(number)] = chr(int(code, 16))
assert sorted(table) == list(range(1, 8106)), len(table)
write("hanzi_common.txt", [table[number] for number in range(1, 3501)], 3500)

gb2312 = []
for row in range(16, 88):
    for cell in range(1, 95):
        try:
            gb2312.append(bytes([row + 0xA0, cell + 0xA0]).decode("gb2312"))
        except UnicodeDecodeError:
            assert row == 55 and cell > 89, (row, cell)
write("hanzi_gb2312.txt", gb2312, 6763)
