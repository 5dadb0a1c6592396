"""A panic of a Rust library is an ordinary error where it is asked for, and every other exception is what it was."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest

from headworks.panics import RustPanicked, is_panic, panics_as_errors


def test_a_panic_of_polars_is_an_error_that_except_exception_catches() -> None:
    table = pa.table({"v": pa.array([Decimal(1)], pa.decimal256(50, 2))})
    with pytest.raises(RustPanicked, match="Int256") as caught, panics_as_errors():
        pl.DataFrame(table)
    assert caught.value.__cause__ is not None
    assert is_panic(caught.value.__cause__)
    assert isinstance(caught.value, Exception)


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_what_is_no_panic_passes(kind: type[BaseException]) -> None:
    with pytest.raises(kind), panics_as_errors():
        raise kind
