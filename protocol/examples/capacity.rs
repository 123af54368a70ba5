//! Prints what is learned of capacity that nobody declared, on models of platforms in virtual time: the table of
//! docs/strategies.md.

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

use outcome::{LEARNED, MODELS, Many, SERVICES, case, following};

fn main() {
    const SLOTS: [u32; 6] = [1, 2, 4, 8, 16, 64];
    print!("| platform | service | load |");
    SLOTS.iter().for_each(|slots| print!(" {slots} |"));
    println!(" least served from 20 s | from 0 s |");
    println!("|---|---|---|{}", "---|".repeat(SLOTS.len() + 2));
    for model in MODELS {
        for service in SERVICES {
            for load in [0.7, 2.0] {
                print!("| {model:?} | {service:?} | {load} |");
                let (mut least, mut least_at_once) = (f64::INFINITY, f64::INFINITY);
                for workers in SLOTS {
                    let many = Many::of(5, |seed| case(model, service, workers, load, seed));
                    least = many.least(LEARNED).min(least);
                    least_at_once = many.least(0.0).min(least_at_once);
                    let (low, high) = many.medians();
                    print!(" {:.2}, {low} to {high} |", many.right(workers));
                }
                println!(" {least:.3} | {least_at_once:.3} |");
            }
        }
    }
    println!("\n| platform | service | 2 workers | then 5 | then 2 |");
    println!("|---|---|---|---|---|");
    for model in MODELS {
        for service in SERVICES {
            let shares: Vec<_> = (0..5).map(|seed| following(model, service, seed)).collect();
            let mean = |stage: usize| shares.iter().map(|s| s[stage]).sum::<f64>() / 5.0;
            println!(
                "| {model:?} | {service:?} | {:.2} | {:.2} | {:.2} |",
                mean(0),
                mean(1),
                mean(2)
            );
        }
    }
}
