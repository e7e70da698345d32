"""Tables of labels in all their forms."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wsss.data.label_table import LabelTable, Row, read_label_table

Read = Callable[..., LabelTable]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def reader(text: str, classes: list[str] | None = None, name: str = "labels.csv") -> LabelTable:
        path = tmp_path / name
        path.write_bytes(text.encode("utf-8"))
        return read_label_table(path, classes)

    return reader


def details(table: LabelTable) -> list[str]:
    return [f"{found.kind}: {found.detail.partition(', ')[2] or found.detail}" for found in table.findings]


@pytest.mark.parametrize(
    "text",
    ["a,dog,cat\nb,cat\nc\n", "id,class\na,dog,cat\nb,cat\nc\n", "id,cat,dog\na,1,1\nb,1,0\nc,0,0\n"],
)
def test_the_forms_mean_the_same(read: Read, text: str) -> None:
    table = read(text)
    assert table.classes == ("cat", "dog")
    assert table.rows == {"a": Row((0, 1), None), "b": Row((0,), None), "c": Row((), None)}
    assert table.findings == ()


def test_the_header_orders_the_classes(read: Read) -> None:
    assert read("id,dog,cat\na,1,0\n").classes == ("dog", "cat")


def test_a_class_list_orders_the_classes(read: Read) -> None:
    table = read("id,dog,cat\na,1,0\n", ["bird", "cat", "dog"])
    assert table.classes == ("bird", "cat", "dog")
    assert table.rows["a"].classes == (2,)


def test_names_may_hold_blanks_commas_and_any_letters(read: Read) -> None:
    table = read('\ufeff"x, y/größe 1.png","red fox",été\r\n')
    assert table.rows == {"x, y/größe 1.png": Row((0, 1), None)}
    assert table.classes == ("red fox", "été")


def test_split_column_anywhere(read: Read) -> None:
    flags = read("id,cat,split,dog\na,1,val,0\nb,0,,1\n")
    assert flags.classes == ("cat", "dog")
    assert flags.rows == {"a": Row((0,), "val"), "b": Row((1,), None)}
    names = read("id,split,class\na,test,cat,dog\nb\n")
    assert names.rows == {"a": Row((0, 1), "test"), "b": Row((), None)}


def test_text_files_with_positions(read: Read) -> None:
    table = read("a 0 14\nb 3\n", [f"name{index}" for index in range(20)], "labels.txt")
    assert table.rows == {"a": Row((0, 14), None), "b": Row((3,), None)}


def test_a_name_goes_before_a_position(read: Read) -> None:
    assert read("a,1\n", ["1", "0"]).rows["a"].classes == (0,)


def test_unknown_names_and_positions(read: Read) -> None:
    table = read("a,cat,wolf\nb,2\n", ["cat", "dog"])
    assert details(table) == ["unknown class: line 1: 'wolf' of 'a'", "unknown class: line 2: '2' of 'b'"]


def test_cells_that_are_no_flags(read: Read) -> None:
    table = read("id,cat,dog\na,1,yes\nb,1\n")
    assert details(table) == [
        "bad row: line 2: expected 2 cells of 0 or 1, found 'yes'",
        "bad row: line 3: expected 2 cells of 0 or 1, found 1 cells",
    ]


def test_unknown_splits(read: Read) -> None:
    assert details(read("id,split,class\na,dev,cat\n")) == [
        "bad row: line 2: expected the split train, val, test, found 'dev'"
    ]


def test_ids_that_occur_twice(read: Read) -> None:
    table = read("a,cat\na,dog\n")
    assert table.rows["a"].classes == (0,)
    assert [found.kind for found in table.findings] == ["duplicate id"]


def test_a_header_that_names_a_class_twice(read: Read) -> None:
    assert [found.kind for found in read("id,cat,cat\na,1,0\n").findings] == ["bad table"]


def test_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes("a,größe\n".encode("latin-1"))
    (finding,) = read_label_table(path).findings
    assert finding.kind == "bad table"
    assert "labels.csv" in finding.detail


def test_an_empty_table(read: Read) -> None:
    table = read("\n")
    assert (table.classes, table.rows, table.findings) == ((), {}, ())


@pytest.mark.parametrize(
    "text",
    [
        "id;split;class\nx, y.png;val;cat;dog\nb;;cat\n",
        '\ufeffID;Split;Class;\r\n"x, y.png";Val;cat;dog\r\nb;;cat;\r\n',
        'ID,SPLIT,Classes\n"x, y.png",VAL,cat,dog\nb,,cat\n',
        "Id;cat;SPLIT;dog\nx, y.png;1;val;1\nb;1;;0\n",
    ],
    ids=["semicolons", "spreadsheet", "capitals", "flags"],
)
def test_what_spreadsheets_make_of_a_table_means_the_same(read: Read, text: str) -> None:
    table = read(text)
    assert table.rows == {"x, y.png": Row((0, 1), "val"), "b": Row((0,), None)}
    assert (table.classes, table.findings) == (("cat", "dog"), ())


def test_commas_separate_wherever_they_can(read: Read) -> None:
    assert read('"b;2"\na,cat;s\n').rows == {"b;2": Row((), None), "a": Row((0,), None)}


@pytest.mark.parametrize(("header", "place"), [("split,id,class", 2), ("class;ID", 2), ("Label,Split,Id", 3)])
def test_a_header_whose_first_column_is_not_the_id_is_refused(read: Read, header: str, place: int) -> None:
    table = read(f"{header}\ntrain,a,cat\n")
    assert details(table) == [
        f"bad table: line 1: expected the column 'id' first, found it as column {place}"
    ]
    assert table.rows == {}


def test_a_class_may_be_called_id(read: Read) -> None:
    assert read("a,dog,id\n").classes == ("dog", "id")


def test_two_split_columns_are_refused(read: Read) -> None:
    table = read("id,split,class,Split\na,val,cat,train\n")
    assert details(table) == ["bad table: line 1: expected one column 'split', found several"]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,dog;cat\nb,cat\nc,dog\n", {"a": (0, 1), "b": (0,), "c": (1,)}),
        ("a,dog cat\nb,cat\nc,dog\n", {"a": (0, 1), "b": (0,), "c": (1,)}),
        ("a,dog|cat\nb,cat\nc,dog\n", {"a": (0, 1), "b": (0,), "c": (1,)}),
        ('a,"dog,cat"\nb,cat\nc,dog\n', {"a": (0, 1), "b": (0,), "c": (1,)}),
        ("a,hot dog\nb,dog\n", {"a": (1,), "b": (0,)}),
        ("a,background\nb,cat\nc,None\nd,nan,cat\n", {"a": (), "b": (0,), "c": (), "d": (0,)}),
        ("id\tclass\na\tcat\tdog\nb\tdog\n", {"a": (0, 1), "b": (1,)}),
        ("sep=;\nid;class\na;cat;dog\nb;dog\n", {"a": (0, 1), "b": (1,)}),
        ("sep=,\na,cat,dog\nb,dog\n", {"a": (0, 1), "b": (1,)}),
        ("id,background,cat\na,1,0\nb,1,1\n", {"a": (), "b": (0,)}),
    ],
)
def test_what_people_write_means_what_they_mean(read: Read, text: str, rows: dict[str, tuple]) -> None:
    table = read(text)
    assert table.findings == ()
    assert {name: row.classes for name, row in table.rows.items()} == rows


def test_names_for_nothing_are_said(read: Read) -> None:
    (remark,) = read("a,background\nb,cat\nc,none\n").remarks
    assert remark.found.startswith("2 cells of ") and remark.found.endswith("name no class")


def test_a_class_list_may_have_a_name_for_nothing(read: Read) -> None:
    assert read("a,none\nb,cat\n", ["cat", "none"]).rows["a"].classes == (1,)


@pytest.mark.parametrize(
    ("text", "classes", "said"),
    [
        ("a,Dog\nb,dog\n", None, "'Dog' and 'dog' differ only in how they are written"),
        ("a,\u00e9t\u00e9\nb,e\u0301te\u0301\n", None, "differ only in how they are written"),
        ("id,Cat,cat\na,1,0\n", None, "'Cat' and 'cat' differ only"),
        ("a,dog;cat\nb,dog;bird\n", None, "'dog;bird' seems to name several classes"),
        ("a,0,1,1\nb,1,0,0\n", None, "found rows of 0 and 1 without a first row that names the classes"),
        ("a,1\nb,2\nc,3\n", ["x", "y", "z"], "numbers count the class list from 0, found 1 to 3"),
        ("image,label\na,cat\n", None, "expected the first column to be called 'id', found 'image'"),
        ("filename,class,split\na,cat,val\n", None, "expected the first column to be called 'id', found"),
    ],
)
def test_what_cannot_be_meant_is_refused(read: Read, text: str, classes: list[str] | None, said: str) -> None:
    assert any(said in found.detail for found in read(text, classes).findings)
