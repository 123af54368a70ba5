//! Reports as one HTML page that needs nothing else: no scripts, no fonts, no files beside it.

mod bars;
mod chart;
mod comparison;
mod intervals;
mod multiple;
mod run;
mod scale;
mod sweep;

use std::fmt;

pub use comparison::of_comparison;
pub use run::of_run;
pub use sweep::of_sweep;

/// What the page says of where its figures come from.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// What the scenario is for.
    pub purpose: &'a str,
    /// What to type to get the same figures again.
    pub command: &'a str,
}

const STYLE: &str = include_str!("style.css");

/// Text in which no character means anything to HTML.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                // XML has no way to write the other control characters.
                c if c.is_control() && c != '\n' && c != '\t' => f.write_str("\u{fffd}")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// The whole page around its sections.
fn page(title: &str, about: About<'_>, sections: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n\
         <h1>{title}</h1>\n<p>{}</p>\n<pre>{}</pre>\n</header>\n<main>\n{sections}</main>\n\
         </body>\n</html>\n",
        Escaped(about.purpose),
        Escaped(about.command),
        title = Escaped(title),
    )
}

/// A table; the first column is what the row is about. Cells may have markup.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: String = head
        .iter()
        .map(|name| format!("<th scope=\"col\">{name}</th>"))
        .collect();
    let row = |cells: &Vec<String>| {
        let cell = |(place, cell): (usize, &String)| match place {
            0 => format!("<th scope=\"row\">{cell}</th>"),
            _ => format!("<td>{cell}</td>"),
        };
        let cells: String = cells.iter().enumerate().map(cell).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"wide\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table></div>\n"
    )
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}
