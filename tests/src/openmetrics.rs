//! Reading OpenMetrics text as strictly as its specification 1.0.0 writes it, as far as an agent uses it.

use std::collections::{BTreeMap, BTreeSet};

/// One line with a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its name, with the suffix.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// All samples of a scrape.
#[derive(Clone, Debug, Default)]
pub struct Scrape(pub Vec<Sample>);

impl Scrape {
    /// Reads a scrape.
    ///
    /// # Errors
    /// The first thing that the specification does not allow, in words.
    pub fn read(text: &str) -> Result<Scrape, String> {
        let body = text
            .strip_suffix("# EOF\n")
            .ok_or("it does not end with # EOF")?;
        let mut families = BTreeSet::new();
        let mut family = (String::new(), String::new());
        let mut samples = Vec::new();
        for line in body.lines() {
            let wrong = |why: &str| format!("{why}: {line}");
            if let Some(rest) = line.strip_prefix("# ") {
                let mut words = rest.splitn(3, ' ');
                let (kind, name) = (words.next(), words.next().unwrap_or_default());
                let rest = words.next().unwrap_or_default();
                if !is_name(name) {
                    return Err(wrong("no name of a metric"));
                }
                match kind {
                    Some("HELP") if !rest.is_empty() => {}
                    Some("TYPE") => {
                        let known = ["counter", "gauge", "histogram", "unknown"];
                        if !known.contains(&rest) {
                            return Err(wrong("not a type"));
                        }
                        if !families.insert(name.to_owned()) {
                            return Err(wrong("a family comes twice"));
                        }
                        family = (name.to_owned(), rest.to_owned());
                    }
                    _ => return Err(wrong("not HELP or TYPE")),
                }
                continue;
            }
            let sample = sample(line).ok_or_else(|| wrong("not a sample"))?;
            let suffix = sample.name.strip_prefix(family.0.as_str());
            let suffix = suffix.ok_or_else(|| wrong("outside its family"))?;
            let allowed: &[&str] = match family.1.as_str() {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            if !allowed.contains(&suffix) {
                return Err(wrong("a suffix that the type does not have"));
            }
            if family.1 == "counter" && sample.value.is_sign_negative() {
                return Err(wrong("a counter below zero"));
            }
            samples.push(sample);
        }
        let scrape = Scrape(samples);
        scrape.check_histograms()?;
        Ok(scrape)
    }

    /// The sum of the samples of that name with all of these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let matches = |sample: &&Sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(k, v)| sample.labels.get(*k).is_some_and(|value| value == v))
        };
        self.0.iter().filter(matches).map(|s| s.value).sum()
    }

    /// Buckets count all that is below them too, and the last one everything.
    fn check_histograms(&self) -> Result<(), String> {
        // By name and labels: the bounds with their counts.
        let mut buckets = BTreeMap::<_, Vec<(f64, f64)>>::new();
        for sample in &self.0 {
            let Some(name) = sample.name.strip_suffix("_bucket") else {
                continue;
            };
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le").ok_or("a bucket without le")?;
            let bound = number(&bound).ok_or_else(|| format!("le is no number: {bound}"))?;
            let histogram = (name.to_owned(), labels);
            buckets
                .entry(histogram)
                .or_default()
                .push((bound, sample.value));
        }
        for ((name, labels), buckets) in buckets {
            let rises = buckets
                .windows(2)
                .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
            let last = buckets.last().copied().unwrap_or_default();
            let pairs: Vec<(&str, &str)> = labels
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect();
            let count = self.sum(&format!("{name}_count"), &pairs);
            if !rises || last != (f64::INFINITY, count) {
                return Err(format!(
                    "buckets of {name} {labels:?}: {buckets:?}, {count}"
                ));
            }
        }
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(first) && text.chars().all(|c| first(c) || c.is_ascii_digit())
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        other => other.parse().ok().filter(|n: &f64| n.is_finite()),
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, labels(rest.strip_suffix('}')?)?),
        None => (series, BTreeMap::new()),
    };
    is_name(name).then_some(Sample {
        name: name.to_owned(),
        labels,
        value: number(value)?,
    })
}

fn labels(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next()? {
                (end, '"') => break end,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    c @ ('"' | '\\') => c,
                    _ => return None,
                }),
                (_, c) => value.push(c),
            }
        };
        if !is_name(name) || labels.insert(name.to_owned(), value).is_some() {
            return None;
        }
        text = &rest[end + 1..];
        if !text.is_empty() {
            text = text.strip_prefix(',').filter(|rest| !rest.is_empty())?;
        }
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_specification_forbids_is_refused() {
        let good =
            "# HELP a_b Words.\n# TYPE a_b counter\na_b_total{x=\"1\",y=\"a\\\"b\"} 3\n# EOF\n";
        let scrape = Scrape::read(good).unwrap();
        assert_eq!(scrape.sum("a_b_total", &[("y", "a\"b")]), 3.0);
        for (from, to) in [
            ("# EOF\n", ""),
            ("_total", ""),
            ("_total", "_other"),
            ("} 3", "} three"),
            ("} 3", " 3"),
            ("x=\"1\"", "x=1"),
            ("x=\"1\"", "y=\"1\""),
            ("counter", "number"),
            ("# TYPE a_b", "# TYPE a_c"),
            ("# EOF", "# TYPE a_b gauge\n# EOF"),
        ] {
            let bad = good.replace(from, to);
            assert!(Scrape::read(&bad).is_err(), "{bad}");
        }
        let buckets = "# TYPE h histogram\nh_sum 1\nh_count 2\nh_bucket{le=\"1.0\"} 1\n\
                       h_bucket{le=\"+Inf\"} 2\n# EOF\n";
        Scrape::read(buckets).unwrap();
        for (from, to) in [("h_count 2", "h_count 3"), ("1.0\"} 1", "1.0\"} 5")] {
            assert!(Scrape::read(&buckets.replace(from, to)).is_err());
        }
    }
}
