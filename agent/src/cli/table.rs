//! How tables and numbers look on a terminal.

use comfy_table::{CellAlignment, Table, presets};
use dfaas_protocol::{FunctionName, Headroom};

/// A table without lines. Columns whose name begins with `>` hold numbers, and stand at the right.
pub(super) fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(header.map(|name| name.trim_start_matches('>')));
    table.add_rows(rows);
    for (column, name) in table.column_iter_mut().zip(header) {
        column.set_padding((0, 2));
        if name.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n", table.trim_fmt())
}

/// Something, or a dash.
pub(super) fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

/// `FREE/SIZE`, or a dash if either is not known.
pub(super) fn headroom(free: Option<i32>, size: Option<u32>) -> String {
    let headroom = free.zip(size).map(|(free, size)| Headroom { free, size });
    or_dash(headroom.map(|headroom| headroom.to_string()))
}

/// Milliseconds with as many digits as a reader needs.
pub(super) fn millis(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

/// A long time, by its two largest units.
pub(super) fn long_time(seconds: f64) -> String {
    // A cast from a float saturates; a negative one is zero.
    let s = seconds as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

/// A function's name as a client would write it.
pub(super) fn function(name: &str) -> String {
    match FunctionName::parse(name) {
        Ok(name) => name.display_name().to_owned(),
        Err(_) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_digits_that_a_reader_needs() {
        assert_eq!(millis(3.125), "3.1 ms");
        assert_eq!(millis(103.25), "103 ms");
        assert_eq!(millis(2600.0), "2.6 s");
        assert_eq!(long_time(59.9), "59 s");
        assert_eq!(long_time(61.0), "1 min 1 s");
        assert_eq!(long_time(3725.5), "1 h 2 min");
        assert_eq!(long_time(90_000.0), "1 d 1 h");
    }

    #[test]
    fn numbers_stand_at_the_right_and_lines_end_without_spaces() {
        let rows = vec![["a".into(), "1".into()], ["bcd".into(), "100".into()]];
        assert_eq!(
            table(["NAME", ">CALLS"], rows),
            "NAME  CALLS\na         1\nbcd     100\n"
        );
    }
}
