//! Prints what is learned of capacity that nobody declared, on models of platforms in virtual time: the tables of
//! docs/strategies.md. Arguments: the first seed (0) and how many seeds (5).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "it prints a table, and stops if it cannot go on"
)]

#[path = "../tests/capacity/model.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod model;
#[path = "../tests/capacity/outcome.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod outcome;

use std::ops::Range;

use model::{Model, Service};
use outcome::{LEARNED, MODELS, Many, SERVICES, case, following, is_right};

const SLOTS: [u32; 6] = [1, 2, 4, 8, 16, 64];
/// What is to be served, as a share of what the declared number serves.
const SERVED: f64 = 0.98;

/// What came of a cell of the table.
struct Cell {
    name: String,
    workers: u32,
    many: Many,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().map_or(default, |n| n.parse().unwrap());
    let first = number(0);
    let seeds = first..first + number(5);

    let mut cells = Vec::new();
    print!("| platform | service | load |");
    SLOTS.iter().for_each(|slots| print!(" {slots} |"));
    println!(" least served from 20 s | from 0 s |");
    println!("|---|---|---|{}", "---|".repeat(SLOTS.len() + 2));
    for model in MODELS {
        for service in SERVICES {
            for load in [0.7, 2.0] {
                cells.extend(line(model, service, load, &seeds));
            }
        }
    }
    println!();
    summary(&cells);

    println!("\n| platform | service | 2 workers | then 5 | then 2 |");
    println!("|---|---|---|---|---|");
    for model in MODELS {
        for service in SERVICES {
            let shares = seeds.clone().map(|seed| following(model, service, seed));
            let shares: Vec<_> = shares.collect();
            let mean = |stage| shares.iter().map(|s| s[stage]).sum::<f64>() / shares.len() as f64;
            let [first, second, third] = [0, 1, 2].map(mean);
            println!("| {model:?} | {service:?} | {first:.2} | {second:.2} | {third:.2} |");
        }
    }
}

/// Prints a line of the table, and returns its cells.
fn line(model: Model, service: Service, load: f64, seeds: &Range<u64>) -> Vec<Cell> {
    print!("| {model:?} | {service:?} | {load} |");
    let cells = SLOTS.map(|workers| {
        let run = |seed| case(model, service, workers, load, seed);
        let many = Many::of(seeds.clone(), run);
        let (low, high) = many.medians();
        print!(" {:.2}, {low} to {high} |", many.right(workers));
        let name = format!("{model:?} {service:?}, {workers} at {load} of the load");
        Cell {
            name,
            workers,
            many,
        }
    });
    let least = |from| {
        cells
            .iter()
            .map(|c| c.many.least(from))
            .fold(f64::INFINITY, f64::min)
    };
    println!(" {:.3} | {:.3} |", least(LEARNED), least(0.0));
    cells.into()
}

/// Prints what holds of the cells, by their means and medians, and what of each run.
fn summary(cells: &[Cell]) {
    let all = cells.len();
    let served = |cell: &Cell| cell.many.share(LEARNED);
    let worst = cells.iter().min_by(|a, b| served(a).total_cmp(&served(b)));
    let worst = worst.unwrap();
    println!(
        "served from 20 s on, mean over seeds: {} of {all} cells at {SERVED} of the declared or more; least {:.3} ({})",
        cells.iter().filter(|c| served(c) >= SERVED).count(),
        served(worst),
        worst.name,
    );

    let off = |cell: &Cell| {
        (f64::from(cell.many.median()) / f64::from(cell.workers))
            .ln()
            .abs()
    };
    let worst = cells
        .iter()
        .max_by(|a, b| off(a).total_cmp(&off(b)))
        .unwrap();
    let is_near = |cell: &&Cell| is_right(cell.many.median(), cell.workers);
    println!(
        "learned, median over seeds and time: {} of {all} cells right; farthest {} ({})",
        cells.iter().filter(is_near).count(),
        worst.many.median(),
        worst.name,
    );

    let right = cells.iter().map(|cell| cell.many.right(cell.workers));
    let right: Vec<f64> = right.collect();
    let runs = cells.iter().flat_map(|cell| cell.many.shares(LEARNED));
    let runs: Vec<f64> = runs.collect();
    println!(
        "each run: right {:.1} % of the time, {} cells below 95 %; {} of {} runs below {SERVED} served, least {:.3}",
        100.0 * right.iter().sum::<f64>() / all as f64,
        right.iter().filter(|right| **right < 0.95).count(),
        runs.iter().filter(|share| **share < SERVED).count(),
        runs.len(),
        runs.iter().copied().fold(f64::INFINITY, f64::min),
    );
}
