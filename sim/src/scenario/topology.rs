//! Who is whose neighbour, drawn.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::ScenarioError;
use super::amount::Amount;
use super::experiment::{Links, Site};
use super::file::{Scenario, Topology};
use super::random::exponential;
use super::select::Selection;

/// Megabits in bytes.
const BYTES_A_MEGABIT: f64 = 1e6 / 8.0;

/// A link before it has a delay: its ends, and its own delay in milliseconds where it has one.
type Pair = (usize, usize, Option<f64>);

/// Draws the links between nodes. `places` are those that the scenario fixes, for a geographic topology.
pub(super) fn draw(
    scenario: &Scenario,
    sites: &[Site],
    places: &[Option<[f64; 2]>],
    rng: &mut ChaCha8Rng,
) -> Result<Links, ScenarioError> {
    let n = sites.len();
    let section = &scenario.links;
    let pairs = match &scenario.topology {
        Topology::Full => plain(pairs_of(n)),
        Topology::List { links } => {
            let named = Selection::new(sites);
            let mut pairs = Vec::new();
            for link in links {
                let own = |rng: &mut ChaCha8Rng| {
                    let amount: Option<&Amount> = link.delay_ms.as_ref();
                    amount.map(|amount| amount.draw(0, 1, rng))
                };
                for from in named.one(&link.from)? {
                    for to in named.one(&link.to)? {
                        pairs.push((*from, *to, own(rng)));
                    }
                }
            }
            pairs
        }
        Topology::ErdosRenyi { p } => plain(erdos_renyi(n, *p, rng)),
        Topology::Regular { degree } => plain(regular(n, *degree, rng)),
        Topology::SmallWorld { degree, rewire } => plain(small_world(n, *degree, *rewire, rng)),
        Topology::ScaleFree { edges } => plain(scale_free(n, *edges, rng)),
        Topology::Geographic {
            nearest,
            side_km,
            ms_per_km,
        } => geographic(places, *nearest, *side_km, *ms_per_km, rng),
        Topology::File { path } => {
            let text = super::read(&scenario.directory.join(path))?;
            listed(&text, &Selection::new(sites), n)?
        }
    };
    let is_geographic = matches!(scenario.topology, Topology::Geographic { .. });
    let pairs = pairs
        .into_iter()
        .map(|(a, b, own)| {
            let mut draw = || section.delay_ms.draw(a, n, rng);
            let ms = match own {
                Some(own) if is_geographic => own + draw(),
                Some(own) => own,
                None => draw(),
            };
            (a as u32, b as u32, Duration::from_secs_f64(ms / 1e3))
        })
        .collect();
    let mut links = Links::new(n, pairs);
    links.jitter = Duration::from_secs_f64(section.jitter_ms / 1e3);
    links.bandwidth = section.mbps.map(|mbps| mbps * BYTES_A_MEGABIT);
    links.loss = section.loss;
    Ok(links)
}

fn plain(pairs: impl IntoIterator<Item = (usize, usize)>) -> Vec<Pair> {
    pairs.into_iter().map(|(a, b)| (a, b, None)).collect()
}

fn pairs_of(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |a| (a + 1..n).map(move |b| (a, b)))
}

/// One edge from each node but the last to a later one; then each pair with the probability. The pairs that are not drawn
/// are skipped in one step, so that it takes no longer than there are edges (Batagelj and Brandes, 2005).
fn erdos_renyi(n: usize, p: f64, rng: &mut ChaCha8Rng) -> Vec<(usize, usize)> {
    let mut edges: Vec<(usize, usize)> = (0..n.saturating_sub(1))
        .map(|node| (node, rng.random_range(node + 1..n)))
        .collect();
    if p >= 1.0 {
        edges.extend(pairs_of(n));
    } else if p > 0.0 {
        // The pair (b, a) with a < b has the number b(b-1)/2 + a; the gaps between drawn numbers are geometric.
        let rate = -libm::log1p(-p);
        let (mut b, mut a) = (1usize, -1.0f64);
        loop {
            a += 1.0 + (exponential(1.0, rng) / rate).floor();
            while b < n && a >= b as f64 {
                a -= b as f64;
                b += 1;
            }
            if b >= n {
                break;
            }
            edges.push((a as usize, b));
        }
    }
    edges
}

/// A ring in which each node knows the nearest `degree`.
fn ring(n: usize, degree: usize) -> Vec<(usize, usize)> {
    (0..n)
        .flat_map(|node| (1..=degree / 2).map(move |step| (node, (node + step) % n)))
        .collect()
}

fn ordered((a, b): (usize, usize)) -> (usize, usize) {
    (a.min(b), a.max(b))
}

/// A ring whose edges exchange their ends until nothing of it is left: every node keeps its degree.
fn regular(n: usize, degree: usize, rng: &mut ChaCha8Rng) -> Vec<(usize, usize)> {
    let mut edges: Vec<(usize, usize)> = ring(n, degree);
    let mut known: BTreeSet<(usize, usize)> = edges.iter().copied().map(ordered).collect();
    if edges.len() < 2 {
        return edges;
    }
    for _ in 0..10 * edges.len() {
        let (i, j) = (
            rng.random_range(0..edges.len()),
            rng.random_range(0..edges.len()),
        );
        let ((a, b), (c, d)) = (edges[i], edges[j]);
        let (first, second) = (ordered((a, d)), ordered((c, b)));
        let is_new = !known.contains(&first) && !known.contains(&second);
        if a == d || c == b || first == second || !is_new {
            continue;
        }
        known.remove(&ordered((a, b)));
        known.remove(&ordered((c, d)));
        known.extend([first, second]);
        edges[i] = (a, d);
        edges[j] = (c, b);
    }
    edges
}

fn small_world(n: usize, degree: usize, rewire: f64, rng: &mut ChaCha8Rng) -> Vec<(usize, usize)> {
    let mut edges = ring(n, degree);
    let mut known: BTreeSet<(usize, usize)> = edges.iter().copied().map(ordered).collect();
    for edge in &mut edges {
        if rng.random_bool(rewire) {
            let to = rng.random_range(0..n);
            let new = ordered((edge.0, to));
            if to != edge.0 && known.insert(new) {
                known.remove(&ordered(*edge));
                *edge = (edge.0, to);
            }
        }
    }
    edges
}

/// Each newcomer links to `links` different nodes, in proportion to the links that they have.
fn scale_free(n: usize, links: usize, rng: &mut ChaCha8Rng) -> Vec<(usize, usize)> {
    let seed = (links + 1).min(n);
    let mut edges: Vec<(usize, usize)> = pairs_of(seed).collect();
    for node in seed..n {
        let mut chosen: Vec<usize> = Vec::with_capacity(links);
        while chosen.len() < links {
            // One end of a random edge: in proportion to the degree.
            let (a, b) = edges[rng.random_range(0..edges.len())];
            let to = if rng.random_bool(0.5) { a } else { b };
            if !chosen.contains(&to) {
                chosen.push(to);
            }
        }
        edges.extend(chosen.into_iter().map(|to| (node, to)));
    }
    edges
}

/// Places on a square, each linked to its nearest. A grid of cells keeps the search short.
fn geographic(
    fixed: &[Option<[f64; 2]>],
    nearest: usize,
    side: f64,
    ms_per_km: f64,
    rng: &mut ChaCha8Rng,
) -> Vec<Pair> {
    let places: Vec<[f64; 2]> = fixed
        .iter()
        .map(|place| place.unwrap_or_else(|| [0, 1].map(|_| side * rng.random::<f64>())))
        .collect();
    let n = places.len();
    let across = ((n as f64 / 4.0).sqrt().ceil() as i64).max(1);
    let cell_of =
        |place: [f64; 2]| place.map(|at| ((at / side * across as f64) as i64).clamp(0, across - 1));
    let mut cells: Vec<Vec<usize>> = vec![Vec::new(); (across * across) as usize];
    for (node, place) in places.iter().enumerate() {
        let [x, y] = cell_of(*place);
        cells[(y * across + x) as usize].push(node);
    }
    let distance = |a: usize, b: usize| {
        let [x, y] = [0, 1].map(|axis| places[a][axis] - places[b][axis]);
        libm::sqrt(x * x + y * y)
    };
    let mut pairs = Vec::new();
    for (node, place) in places.iter().enumerate() {
        let [x, y] = cell_of(*place);
        let mut found: Vec<(f64, usize)> = Vec::new();
        for reach in 0..=across {
            let around = |at: i64| (at - reach).max(0)..=(at + reach).min(across - 1);
            found.clear();
            for cell in around(y).flat_map(|y| around(x).map(move |x| y * across + x)) {
                let others = cells[cell as usize].iter().filter(|other| **other != node);
                found.extend(others.map(|other| (distance(node, *other), *other)));
            }
            // Nobody outside the cells that were searched is nearer than the width of one less than their reach.
            let safe = (reach - 1).max(0) as f64 * side / across as f64;
            if found.iter().filter(|(far, _)| *far <= safe).count() >= nearest {
                break;
            }
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let near = found.into_iter().take(nearest);
        pairs.extend(near.map(|(far, other)| (node, other, Some(far * ms_per_km))));
    }
    pairs
}

/// Links from text: `A B` or `A B MILLISECONDS`.
fn listed(text: &str, named: &Selection, n: usize) -> Result<Vec<Pair>, ScenarioError> {
    let mut pairs = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().replace(',', " ");
        let words: Vec<&str> = line.split_whitespace().collect();
        let wrong = |what: &str| {
            let number = number + 1;
            ScenarioError::invalid(format!("line {number} of the links: {what}"))
        };
        let node = |word: &str| match (named.one(word), word.parse::<usize>()) {
            (Ok([node]), _) => Ok(*node),
            (_, Ok(index)) if index < n => Ok(index),
            _ => Err(wrong(
                "name two nodes, by their names or their numbers from 0",
            )),
        };
        match words[..] {
            [] => {}
            [a, b] => pairs.push((node(a)?, node(b)?, None)),
            [a, b, ms] => {
                let ms = ms.parse().ok().filter(|ms| (0.0..=1e5).contains(ms));
                let ms =
                    ms.ok_or_else(|| wrong("give a delay in milliseconds from 0 to 100000"))?;
                pairs.push((node(a)?, node(b)?, Some(ms)));
            }
            _ => return Err(wrong("write A B or A B MILLISECONDS")),
        }
    }
    Ok(pairs)
}
