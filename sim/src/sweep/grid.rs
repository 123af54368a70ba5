//! The grid file, and the points that it has.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Value;

use crate::policy::Policy;
use crate::scenario::Scenario;

use super::SweepError;

/// More points than that are taken for a mistake.
const MOST_POINTS: usize = 1_000_000;

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    purpose: String,
    scenario: String,
    #[serde(default)]
    strategies: Vec<String>,
    #[serde(default = "one")]
    seeds: u64,
    #[serde(default)]
    vary: toml::Table,
    #[serde(default)]
    together: Vec<toml::Table>,
}

fn one() -> u64 {
    1
}

/// A scenario, and what is varied of it.
#[derive(Debug)]
pub struct Grid {
    /// A short name.
    pub name: String,
    /// What it is for, in a sentence.
    pub purpose: String,
    /// The strategies, the scenario's own if the file names none.
    pub strategies: Vec<Policy>,
    /// How many seeds each point has, from the scenario's own on.
    pub seeds: u64,
    /// The keys that are varied, in the order of [`Settings::values`].
    pub keys: Vec<String>,
    /// The points.
    pub points: Vec<Settings>,
}

/// A point of the grid.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The value of each key.
    pub values: Vec<Value>,
    /// The scenario with these.
    pub scenario: Scenario,
}

/// The values of one key over some rows, in the narrowest type that holds all values that the grid has for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Whole numbers.
    Integers(Vec<i64>),
    /// Numbers.
    Reals(Vec<f64>),
    /// Anything else, as it would stand in a file.
    Texts(Vec<String>),
}

/// Keys that take their values side by side, and those values.
type Axis = Vec<(String, Vec<Value>)>;

impl Grid {
    /// Reads a grid from a file, and the scenario that it names: a file beside it, or a shipped one.
    ///
    /// # Errors
    /// If the file cannot be read, or a point of the grid is no scenario.
    pub fn load(path: &Path) -> Result<Grid, SweepError> {
        let text = std::fs::read_to_string(path).map_err(SweepError::file(path))?;
        let file: File = toml::from_str(&text).map_err(|error| SweepError::Parse {
            path: path.to_owned(),
            error: Box::new(error),
        })?;
        let beside = path.parent().unwrap_or(Path::new(".")).join(&file.scenario);
        let scenario = if beside.is_file() {
            beside.display().to_string()
        } else {
            file.scenario.clone()
        };
        Grid::new(file, &scenario)
    }

    fn new(file: File, scenario: &str) -> Result<Grid, SweepError> {
        if !(1..=1_000_000).contains(&file.seeds) {
            return Err(invalid("seeds is from 1 to 1000000"));
        }
        let axes = axes(&file)?;
        let keys: Vec<String> = axes.iter().flatten().map(|(key, _)| key.clone()).collect();
        let mut points = Vec::new();
        for values in product(&axes)? {
            let pairs = keys.iter().zip(&values);
            let set: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
            let loaded = Scenario::load(scenario, &set);
            let scenario = loaded.map_err(|error| SweepError::Point {
                settings: set.join(", "),
                error,
            })?;
            points.push(Settings { values, scenario });
        }
        let mut strategies = Vec::new();
        for name in &file.strategies {
            let policy: Policy = name.parse().map_err(|error| invalid(format!("{error}")))?;
            if strategies.contains(&policy) {
                return Err(invalid(format!("the strategy {name} stands there twice")));
            }
            strategies.push(policy);
        }
        if let (true, Some(first)) = (strategies.is_empty(), points.first()) {
            strategies.push(Policy::Strategy(first.scenario.strategy.name));
        }
        Ok(Grid {
            name: file.name,
            purpose: file.purpose,
            strategies,
            seeds: file.seeds,
            keys,
            points,
        })
    }

    /// The values of a key, by its place, at these points.
    pub fn column(&self, key: usize, points: &[usize]) -> Column {
        let of = |point: usize| &self.points[point].values[key];
        let all = || (0..self.points.len()).map(of);
        if all().all(Value::is_integer) {
            let whole = |point: &usize| of(*point).as_integer().unwrap_or_default();
            Column::Integers(points.iter().map(whole).collect())
        } else if all().all(|value| real(value).is_some()) {
            let real = |point: &usize| real(of(*point)).unwrap_or_default();
            Column::Reals(points.iter().map(real).collect())
        } else {
            Column::Texts(points.iter().map(|point| text(of(*point))).collect())
        }
    }

    /// The value of a key, by its place, at a point, for people.
    pub fn label(&self, key: usize, point: usize) -> String {
        text(&self.points[point].values[key])
    }

    /// What is set at a point, for people.
    pub fn describe(&self, point: usize) -> String {
        let pairs = self.keys.iter().zip(&self.points[point].values);
        let parts: Vec<String> = pairs
            .map(|(key, value)| format!("{key} = {}", text(value)))
            .collect();
        parts.join(", ")
    }
}

fn real(value: &Value) -> Option<f64> {
    value
        .as_float()
        .or(value.as_integer().map(|whole| whole as f64))
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn invalid(sentence: impl Into<String>) -> SweepError {
    SweepError::Invalid(sentence.into())
}

fn axes(file: &File) -> Result<Vec<Axis>, SweepError> {
    let mut axes: Vec<Axis> = Vec::new();
    let mut keys = BTreeMap::new();
    let mut lists = |table: &toml::Table| -> Result<Axis, SweepError> {
        let mut lists = Vec::new();
        flatten("", table, &mut |key, value| {
            let values = value.as_array().filter(|values| !values.is_empty());
            let values = values.ok_or_else(|| invalid(format!("{key} has a list of values")))?;
            if key == "seed" || keys.insert(key.to_owned(), ()).is_some() {
                return Err(invalid(format!(
                    "{key} is varied once, and the seed by `seeds`"
                )));
            }
            lists.push((key.to_owned(), values.clone()));
            Ok(())
        })?;
        Ok(lists)
    };
    for table in &file.together {
        let axis = lists(table)?;
        let lengths = axis.iter().map(|(_, values)| values.len());
        if lengths.clone().min() != lengths.max() {
            return Err(invalid("lists in one [[together]] are equally long"));
        }
        axes.push(axis);
    }
    axes.extend(lists(&file.vary)?.into_iter().map(|list| vec![list]));
    Ok(axes)
}

/// Tells all that is in a table, by its path: `nodes.count = 3` is the same as `"nodes.count" = 3`.
fn flatten(
    path: &str,
    table: &toml::Table,
    each: &mut dyn FnMut(&str, &Value) -> Result<(), SweepError>,
) -> Result<(), SweepError> {
    for (key, value) in table {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match value {
            Value::Table(inner) => flatten(&path, inner, each)?,
            value => each(&path, value)?,
        }
    }
    Ok(())
}

/// Each place of each axis with each of the others, the last axis fastest.
fn product(axes: &[Axis]) -> Result<Vec<Vec<Value>>, SweepError> {
    let mut points = vec![Vec::new()];
    for axis in axes {
        let length = axis.first().map_or(1, |(_, values)| values.len());
        if points.len() * length > MOST_POINTS {
            return Err(invalid(format!("it has at most {MOST_POINTS} points")));
        }
        let longer = points.iter().flat_map(|point: &Vec<Value>| {
            (0..length).map(move |place| {
                let here = axis.iter().map(|(_, values)| values[place].clone());
                point.iter().cloned().chain(here).collect()
            })
        });
        points = longer.collect();
    }
    Ok(points)
}
