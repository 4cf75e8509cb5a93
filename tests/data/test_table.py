"""CSV files: what becomes of each cell, and what is said about it."""

import gzip
import zipfile

import numpy as np
import pytest

from ember_ml.data import DataError, GenericCSVLoader, load_csv

pytest.importorskip("pandas")


def write(folder, text, name="data.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def test_numbers_dates_and_truth_are_found(tmp_path):
    table = load_csv(write(tmp_path, "day,flow,wet,site\n20010102,1.5,true,a\n20010103,,false,b\n"))
    assert [str(kind) for kind in table.dtypes] == ["datetime64[s]", "float64", "bool", "object"]
    assert table["day"][1] == np.datetime64("2001-01-03")
    np.testing.assert_array_equal(table["flow"], [1.5, np.nan])
    assert table["wet"].tolist() == [True, False]


def test_whole_numbers_stay_whole_and_leading_zeros_stay_text(tmp_path):
    table = load_csv(write(tmp_path, "n,code\n1,007\n2,010\n"))
    assert table["n"].dtype == "int64"
    assert table["code"].tolist() == ["007", "010"]


def test_short_rows_are_padded_and_long_rows_refused_and_both_reported(tmp_path):
    loader = GenericCSVLoader()
    table = loader.load_csv(write(tmp_path, "a,b\n1,2\n3\n4,5,6\n7,8\n"))
    np.testing.assert_array_equal(table["a"], [1, 3, 7])
    np.testing.assert_array_equal(table["b"], [2, np.nan, 8])
    assert loader.report[["line", "value"]].values.tolist() == [[3, "3"], [4, "4,5,6"]]
    assert loader.report["column"].tolist()[0] == "b"
    assert "left out" in loader.report["reason"][1]


def test_every_change_names_its_line_even_after_a_cell_with_a_line_break(tmp_path):
    loader = GenericCSVLoader()
    loader.load_csv(write(tmp_path, 'a,b\n"x\ny",1\n\nz,?\n'))
    assert loader.report.values.tolist() == [[5, "b", "?", "read as missing"]]


def test_text_among_numbers_is_reported_and_never_dropped(tmp_path):
    loader = GenericCSVLoader()
    rows = "".join(f"{i}\n" for i in range(20))
    table = loader.load_csv(write(tmp_path, f"a\n{rows}broken\n"))
    assert table["a"].tolist()[-1] == "broken"
    assert loader.report[["line", "value"]].values.tolist() == [[22, "broken"]]


def test_the_report_is_that_of_the_last_file(tmp_path):
    loader = GenericCSVLoader()
    loader.load_csv(write(tmp_path, "a\n?\n1\n"))
    loader.load_csv(write(tmp_path, "a\n1\n"))
    assert len(loader.report) == 0


def test_epoch_seconds_are_times_when_asked_for(tmp_path):
    table = load_csv(write(tmp_path, "when,a\n1000000000,1\n1000003600,2\n"), datetime_cols=["when"])
    assert table["when"].tolist()[0] == np.datetime64("2001-09-09T01:46:40")


def test_offsets_become_utc(tmp_path):
    table = load_csv(write(tmp_path, "when\n2001-01-01T01:00:00+01:00\n2001-01-01T02:00:00+01:00\n"))
    assert table["when"][0] == np.datetime64("2001-01-01T00:00:00")


def test_a_header_file_names_the_columns_and_an_index_is_set(tmp_path):
    names = write(tmp_path, "key, int64\nvalue: float\n", "names.txt")
    table = load_csv(write(tmp_path, "a,1\nb,2\n"), header_file=names, index_col="key")
    assert table.loc["b", "value"] == 2


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_are_found(tmp_path, delimiter):
    table = load_csv(write(tmp_path, "a,b\n1,2\n".replace(",", delimiter)))
    assert table["b"].tolist() == [2]


def test_byte_order_mark_and_windows_line_ends_leave_no_trace(tmp_path):
    table = load_csv(write(tmp_path, "a,b\r\n1,2\r\n", encoding="utf-8-sig"))
    assert list(table.columns) == ["a", "b"]
    assert table["b"].tolist() == [2]


def test_compressed_files_are_read_and_can_be_forbidden(tmp_path):
    zipped = tmp_path / "data.csv.gz"
    zipped.write_bytes(gzip.compress(b"a\n1\n"))
    assert load_csv(zipped)["a"].tolist() == [1]
    with pytest.raises(DataError, match="compression_support=False"):
        GenericCSVLoader(compression_support=False).load_csv(zipped)


def test_an_archive_with_two_files_asks_which(tmp_path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "a\n1\n")
        archive.writestr("b.csv", "a\n1\n")
    with pytest.raises(DataError, match="holds 2 files; wanted one"):
        load_csv(tmp_path / "two.zip")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("  \n\n", "is empty"),
        ("a,b\n", "has column names but no rows"),
        ("a,b\n1,2,3\n", r"no rows \(1 were refused\)"),
        ("19580329,316.1\n19580405,317.3\n", "has no header: its first line is '19580329,316.1'"),
        ("2001-01-01,low\n2001-01-02,high\n", "has no header"),
        ("a,a\n1,2\n", "more than one column 'a'"),
        ('a,b\n"1,2\n', "line 2: not valid CSV"),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(tmp_path, text, words):
    with pytest.raises(DataError, match=words) as caught:
        load_csv(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_years_as_column_names_are_names(tmp_path):
    table = load_csv(write(tmp_path, "country,1999,2000\nfr,1,2\n"))
    assert list(table.columns) == ["country", "1999", "2000"]


def test_missing_files_folders_wrong_encodings_and_broken_archives_are_refused(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        load_csv(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="directory"):
        load_csv(tmp_path)
    with pytest.raises(DataError, match="is not utf-8 text"):
        load_csv(write(tmp_path, "a\né\n", encoding="latin-1"))
    with pytest.raises(DataError, match="cannot read"):
        load_csv(write(tmp_path, "not gzip", "x.csv.gz"))
    assert load_csv(write(tmp_path, "a\né\n", encoding="latin-1"), encoding="latin-1")["a"][0] == "é"


def test_columns_asked_for_and_absent_are_named_with_those_there_are(tmp_path):
    with pytest.raises(DataError, match="no column 'when'; its columns are a, b"):
        load_csv(write(tmp_path, "a,b\n1,2\n"), datetime_cols=["when"])


def test_a_time_column_of_words_is_refused(tmp_path):
    with pytest.raises(DataError, match="column 'a' holds no times: it starts with 'spring'"):
        load_csv(write(tmp_path, "a\nspring\nsummer\n"), datetime_cols=["a"])
