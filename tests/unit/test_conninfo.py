"""A standby is led to another host, and keeps whatever else its conninfo says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failoverd.effect.conninfo import NotUnderstood, led_to, parse, written


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("host=old port=5433 user=r", "host=new port=5432 user=r"),
        ("user=r host = 'old'", "host=new port=5432 user=r"),
        ("hostaddr=192.0.2.1 user=r", "host=new port=5432 user=r"),
        (
            r"host=old password='it\'s \\ mine' application_name=pg3",
            r"host=new port=5432 password='it\'s \\ mine' application_name=pg3",
        ),
        (
            "host=old passfile=/home/pg/.pgpass sslmode=verify-full",
            "host=new port=5432 passfile=/home/pg/.pgpass sslmode=verify-full",
        ),
        ("host=new,old user=r", "host=new,old user=r"),
        ("host=old,older user=r", "host=new port=5432 user=r"),
        (
            "postgresql://r:p%40ss@old:5433/x?application_name=pg3",
            "host=new port=5432 user=r password=p@ss dbname=x application_name=pg3",
        ),
        ("postgres://r@[2001:db8::1]:5433", "host=new port=5432 user=r"),
        ("user=r options=''", "host=new port=5432 user=r options=''"),
    ],
)
def test_only_host_and_port_change(before, after):
    assert led_to(before, "new", 5432) == after


@pytest.mark.parametrize("broken", ["host", "host='old", "=x", "postgres://u@h:5?x"])
def test_what_libpq_would_not_take_is_refused_and_not_told(broken):
    with pytest.raises(NotUnderstood) as refused:
        led_to(broken, "new", 5432)
    assert broken not in str(refused.value)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]+", fullmatch=True), st.text().filter(lambda v: "\0" not in v)
    )
)
def test_what_is_written_is_read_back(options):
    assert parse(written(options)) == options
