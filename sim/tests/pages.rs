//! The HTML pages: well-formed, complete in themselves, and the same for the same seed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::process::Command;

use roxmltree::{Document, ParsingOptions};
use tempfile::TempDir;

fn page(args: &[&str]) -> String {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("page.html");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dfaas-sim"));
    let output = command
        .args(args)
        .arg("--html")
        .arg(&path)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::read_to_string(path).unwrap()
}

fn check(page: &str) -> Document<'_> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(page, options).unwrap();
    for outside in ["http", "//", "url(", "@import", "<script", "<link", "<img"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for node in document.descendants() {
        for attribute in node.attributes() {
            let name = attribute.name();
            assert!(
                !["src", "href", "style"].contains(&name) && !name.starts_with("on"),
                "{name}"
            );
        }
        // No figure that is no number, and no chart without its points.
        if node.has_tag_name("polyline") {
            let points = node.attribute("points").unwrap();
            assert!(points.split(' ').count() > 1);
            for coordinate in points.split([' ', ',']) {
                assert!(
                    coordinate.parse::<f64>().unwrap().is_finite(),
                    "{coordinate}"
                );
            }
        }
    }
    assert!(
        !page.contains("NaN") && !page.contains("inf"),
        "a figure is no number"
    );
    document
}

fn text_of(document: &Document<'_>, tag: &str) -> Vec<String> {
    let found = document.descendants().filter(|node| node.has_tag_name(tag));
    found.map(|node| node.text().unwrap().to_owned()).collect()
}

fn text(document: &Document<'_>, tag: &str) -> String {
    let found = document.descendants().find(|node| node.has_tag_name(tag));
    found.unwrap().text().unwrap().to_owned()
}

#[test]
fn a_run_is_a_page() {
    let args = ["run", "partition", "--set", "duration_s=10", "--seed", "3"];
    let html = page(&args);
    assert_eq!(html, page(&args));
    let document = check(&html);
    assert_eq!(
        text(&document, "pre"),
        "dfaas-sim run partition --set duration_s=10 --seed 3"
    );
    let scenario = dfaas_sim::scenario::Scenario::load("partition", &[]).unwrap();
    assert_eq!(text(&document, "p"), scenario.purpose);
    let charts = document
        .descendants()
        .filter(|node| node.has_tag_name("svg"))
        .count();
    assert_eq!(charts, 5);
    let lines = document
        .descendants()
        .filter(|node| node.has_tag_name("polyline"));
    // Offered, served, refused; three quantiles; forwards and refusals.
    assert_eq!(lines.count(), 8);
}

#[test]
fn a_comparison_is_a_page_for_any_number_of_threads() {
    let args = [
        "compare",
        "one-step",
        "--set",
        "duration_s=6",
        "--seeds",
        "3",
    ];
    let some = ["--strategies", "headroom,all-local"];
    let html = page(&[&args[..], &some, &["--threads", "1"]].concat());
    assert_eq!(
        html,
        page(&[&args[..], &some, &["--threads", "2"]].concat())
    );
    let document = check(&html);
    let rows = document
        .descendants()
        .filter(|node| node.has_tag_name("tr"));
    assert_eq!(rows.count(), 3);
    // An interval for each of ten figures of two strategies.
    let cells = document
        .descendants()
        .filter(|node| node.has_tag_name("td"));
    let intervals = cells.filter(|cell| cell.children().any(|n| n.has_tag_name("small")));
    assert_eq!(intervals.count(), 20);
}

#[test]
fn a_sweep_is_a_page() {
    let directory = TempDir::new().unwrap();
    let grid = directory.path().join("grid.toml");
    let text = "name = 'small'\npurpose = 'Two <keys>.'\nscenario = 'grid'\n\
                strategies = ['headroom', 'all-local']\nseeds = 2\n[vary]\n\
                nodes.slots = [2, '{ choice = [4, 8] }']\nduration_s = [1, 2]\n\
                [[together]]\nnodes.count = [3, 6, 9]\ntopology.p = [1, 0.5, 0.3]\n";
    std::fs::write(&grid, text.replace("'{", "{").replace("}'", "}")).unwrap();
    let out = directory.path().join("out");
    let paths = [&grid, &out].map(|path| path.to_str().unwrap());
    let html = page(&["sweep", paths[0], "--out", paths[1]]);
    let document = check(&html);
    assert_eq!(
        text_of(&document, "h2"),
        [
            "Strategies",
            "By nodes.count",
            "By topology.p",
            "By duration_s",
            "By nodes.slots"
        ]
    );
    let count = |tag| {
        document
            .descendants()
            .filter(|node| node.has_tag_name(tag))
            .count()
    };
    // Four keys, four figures, two strategies; a point for each value of the key.
    assert_eq!(count("svg"), 4 * 4 * 2);
    assert_eq!(count("circle"), (3 + 3 + 2 + 2) * 4 * 2);
    // Each chart says what it shows, of what, and of whom.
    let labels = document
        .descendants()
        .filter_map(|node| node.attribute("aria-label"));
    let first = labels.clone().next().unwrap();
    assert_eq!(
        first,
        "Served of what was offered, in percent by nodes.count: headroom"
    );
    // Each point has an interval over the two seeds.
    assert!(html.contains("48 of 48 runs") && html.contains("nodes.count = 3: "));
    // The words about them have one more.
    assert_eq!(html.matches(" ± ").count(), count("circle") + 1);
}

#[test]
fn what_a_scenario_says_of_itself_is_no_markup() {
    let purpose = "purpose=<b>\"a\" & 'b'</b><script>";
    let html = page(&["run", "one-step", "--set", "duration_s=2", "--set", purpose]);
    assert!(html.contains("&lt;b&gt;&quot;a&quot; &amp; 'b'&lt;/b&gt;&lt;script&gt;"));
    check(&html);
}

#[test]
fn pages_of_runs_in_which_nothing_happens_are_whole() {
    let none = "load=[{ shape = { kind = \"trace\", rates = [0, 0], step_s = 1 } }]";
    check(&page(&[
        "run",
        "grid",
        "--set",
        "duration_s=2",
        "--set",
        none,
    ]));
    check(&page(&[
        "run",
        "grid",
        "--set",
        "duration_s=1",
        "--set",
        "nodes.count=60",
    ]));
}
