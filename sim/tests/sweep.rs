//! `dfaas-sim sweep`, as a program: stopped and gone on with, in shards, and read back from Parquet.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;
use tempfile::TempDir;

const GRID: &str = r#"
name = "small"
purpose = "To see whether sweeps work."
scenario = "grid"
strategies = ["headroom", "all-local", "dispatcher"]
seeds = 2
[vary]
duration_s = [4]
nodes.slots = [4, { choice = [4, 8] }]
[[together]]
nodes.count = [5, 8]
topology.p = [1, 0.5]
"#;
const RUNS: usize = 3 * 2 * 2 * 2;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_dfaas-sim"))
}

fn sweep(directory: &TempDir, out: &str, more: &[&str]) -> Command {
    let grid = directory.path().join("small.toml");
    std::fs::write(&grid, GRID).unwrap();
    let mut command = program();
    command.arg("sweep").arg(grid).arg("--out");
    command.arg(directory.path().join(out)).args(more);
    command
}

fn done(mut command: Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The names of the runs that the journals of a directory hold, each as often as it stands there.
fn journal(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let journals = paths.filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
    let all = journals.flat_map(|path| lines(&std::fs::read(path).unwrap()));
    all.map(|line| line["run"].as_str().unwrap().to_owned())
        .collect()
}

fn parquet(path: PathBuf) -> Vec<BTreeMap<String, Value>> {
    let reader = SerializedFileReader::try_from(path.as_path()).unwrap();
    let value = |field: &Field| match field {
        Field::Long(whole) => Value::from(*whole),
        Field::Double(real) => Value::from(*real),
        Field::Str(text) => Value::from(text.as_str()),
        other => panic!("no column has {other}"),
    };
    reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| {
            let row = row.unwrap();
            let columns = row.get_column_iter();
            columns
                .map(|(name, field)| (name.clone(), value(field)))
                .collect()
        })
        .collect()
}

#[test]
fn parquet_says_what_the_runs_say() {
    let directory = TempDir::new().unwrap();
    let printed = lines(&done(sweep(&directory, "out", &["--json"])).stdout);
    let rows = parquet(directory.path().join("out/shard-0-of-1.parquet"));
    assert_eq!((printed.len(), rows.len()), (RUNS, RUNS));
    for (printed, row) in printed.iter().zip(&rows) {
        for (name, value) in printed.as_object().unwrap() {
            match name.as_str() {
                "point" => {}
                "refused_by" => {
                    let text = row[name].as_str().unwrap();
                    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), *value);
                }
                _ => assert_eq!(row[name], *value, "{name}"),
            }
        }
    }
    // What the grid says of its points, against a single run with the same settings.
    let last = rows.last().unwrap();
    assert_eq!(last["nodes_count"], 8);
    assert_eq!(last["topology_p"], 0.5);
    assert_eq!(last["nodes_slots"], "{ choice = [4, 8] }");
    assert_eq!(
        (&last["strategy"], &last["seed"]),
        (&"dispatcher".into(), &2.into())
    );
    let settings = [
        "nodes.count=8",
        "topology.p=0.5",
        "nodes.slots={ choice = [4, 8] }",
        "duration_s=4",
    ];
    let mut single = program();
    single.args([
        "run",
        "grid",
        "--strategy",
        "dispatcher",
        "--seed",
        "2",
        "--json",
    ]);
    single.args(settings.iter().flat_map(|setting| ["--set", setting]));
    let single = &lines(&done(single).stdout)[0];
    for figure in [
        "offered",
        "served",
        "p99_ms",
        "jain",
        "joules",
        "message_bytes",
    ] {
        assert_eq!(last[figure], single["totals"][figure], "{figure}");
    }
    assert!(
        last["of_bound"]
            .as_f64()
            .is_some_and(|share| share > 0.3 && share < 2.0)
    );
}

#[test]
fn a_sweep_that_was_killed_goes_on_and_runs_nothing_twice() {
    let directory = TempDir::new().unwrap();
    done(sweep(&directory, "whole", &["--threads", "2"]));
    let out = directory.path().join("killed");
    let own = out.join("done-0-of-1.jsonl");
    let ends = || {
        let bytes = std::fs::read(&own).unwrap_or_default();
        bytes.iter().filter(|byte| **byte == b'\n').count()
    };
    // On a busy machine it may come to its end before it is killed.
    let was_killed = (0..20).any(|_| {
        let _ = std::fs::remove_dir_all(&out);
        let killed = sweep(&directory, "killed", &["--threads", "1"]).spawn();
        let mut child = killed.unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while ends() < 3 {
            assert!(Instant::now() < until, "three runs take no minute");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        ends() < RUNS
    });
    assert!(was_killed, "it was always at its end before it was killed");
    // And in the middle of a line.
    let mut torn = std::fs::read(&own).unwrap();
    torn.extend_from_slice(br#"{"run":"0123","seconds":4."#);
    std::fs::write(&own, torn).unwrap();

    done(sweep(&directory, "killed", &["--threads", "2"]));
    let bytes = |out: &str| std::fs::read(directory.path().join(out).join("shard-0-of-1.parquet"));
    assert_eq!(bytes("whole").unwrap(), bytes("killed").unwrap());
    let names = journal(&out);
    assert_eq!(names.len(), RUNS);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), RUNS);
    // Again, with nothing left to run.
    done(sweep(&directory, "killed", &[]));
    assert_eq!(journal(&out).len(), RUNS);
    assert_eq!(bytes("whole").unwrap(), bytes("killed").unwrap());
}

#[test]
fn shards_are_one_set_of_rows() {
    let directory = TempDir::new().unwrap();
    done(sweep(&directory, "whole", &[]));
    let by_name =
        |rows: Vec<BTreeMap<String, Value>>| -> BTreeMap<String, BTreeMap<String, Value>> {
            let named = rows
                .into_iter()
                .map(|row| (row["run"].as_str().unwrap().to_owned(), row));
            named.collect()
        };
    let whole = by_name(parquet(directory.path().join("whole/shard-0-of-1.parquet")));
    let mut parts = Vec::new();
    for shard in 0..3 {
        done(sweep(
            &directory,
            "parts",
            &["--shard", &format!("{shard}/3")],
        ));
        let part = parquet(
            directory
                .path()
                .join(format!("parts/shard-{shard}-of-3.parquet")),
        );
        assert!(part.len() >= RUNS / 4, "{}", part.len());
        parts.extend(part);
    }
    assert_eq!(parts.len(), RUNS);
    assert_eq!(by_name(parts), whole);

    // In one part the same files would say everything twice; without them nothing is run again.
    let output = sweep(&directory, "parts", &[]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("in other parts"));
    for shard in 0..3 {
        std::fs::remove_file(
            directory
                .path()
                .join(format!("parts/shard-{shard}-of-3.parquet")),
        )
        .unwrap();
    }
    done(sweep(&directory, "parts", &[]));
    assert_eq!(journal(&directory.path().join("parts")).len(), RUNS);
    let bytes = |out: &str| std::fs::read(directory.path().join(out).join("shard-0-of-1.parquet"));
    assert_eq!(bytes("whole").unwrap(), bytes("parts").unwrap());
}

/// A file in `configs`.
fn config(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../configs")
        .join(path)
}

#[test]
fn the_array_of_slurm_does_each_shard_once() {
    let directory = TempDir::new().unwrap();
    let (grid, out) = (
        directory.path().join("small.toml"),
        directory.path().join("out"),
    );
    std::fs::write(&grid, GRID).unwrap();
    let beside = Path::new(env!("CARGO_BIN_EXE_dfaas-sim")).parent().unwrap();
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(beside.to_owned()).chain(std::env::split_paths(&paths));
    let paths = std::env::join_paths(paths).unwrap();
    for task in 0..2 {
        let mut script = Command::new("bash");
        script.arg(config("slurm/sweep.sbatch")).args([&grid, &out]);
        script
            .env("PATH", &paths)
            .env("SLURM_ARRAY_TASK_ID", task.to_string());
        script
            .env("SLURM_ARRAY_TASK_COUNT", "2")
            .env("SLURM_CPUS_PER_TASK", "2");
        done(script);
        assert!(out.join(format!("shard-{task}-of-2.parquet")).is_file());
    }
    assert_eq!(journal(&out).len(), RUNS);
}

#[test]
fn the_job_of_kubernetes_says_what_the_program_takes() {
    let text = std::fs::read_to_string(config("k8s/sweep-job.yaml")).unwrap();
    let after = |key: &str| {
        let mut lines = text.lines().map(str::trim);
        lines
            .find_map(|line| line.strip_prefix(key))
            .unwrap()
            .trim()
            .to_owned()
    };
    let shards: usize = after("completions:").parse().unwrap();
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("grid.toml"), GRID).unwrap();
    let args: Vec<String> = serde_json::from_str(&after("args:")).unwrap();
    let here = |arg: &String| {
        let out = directory.path().join("out").display().to_string();
        let grid = directory.path().join("grid.toml").display().to_string();
        let arg = arg.replace("/grid/grid.toml", &grid).replace("/out", &out);
        arg.replace("$(JOB_COMPLETION_INDEX)", &(shards - 1).to_string())
    };
    let mut command = program();
    command.args(args.iter().map(here));
    done(command);
    let name = format!("out/shard-{}-of-{shards}.parquet", shards - 1);
    assert_eq!(parquet(directory.path().join(name)).len(), RUNS / shards);
}

#[test]
fn the_shipped_grids_have_their_points() {
    let grid = dfaas_sim::sweep::Grid::load(&config("scenarios/grid-sweep.toml")).unwrap();
    assert_eq!(grid.points.len(), 3 * 2 * 2);
    assert_eq!(grid.points[11].scenario.nodes.count, Some(200));
    let whole = dfaas_sim::sweep::Grid::load(&config("scenarios/whole-grid-sweep.toml")).unwrap();
    assert_eq!(whole.points.len(), 8 * 2 * 2 * 2 * 2);
}

#[test]
fn wrong_grids_are_refused_and_say_why() {
    let directory = TempDir::new().unwrap();
    let wrong = [
        ("duration_s = [4]", "duration_s = 4", "list of values"),
        ("duration_s = [4]", "seed = [4]", "varied once"),
        ("[1, 0.5]", "[1, 0.5, 0.3]", "equally long"),
        ("[5, 8]", "[5, -8]", "nodes.count=-8"),
        ("seeds = 2", "seeds = 0", "seeds"),
        ("\"all-local\"", "\"headroom\"", "twice"),
        (
            "scenario = \"grid\"",
            "scenario = \"gird\"",
            "no shipped scenario",
        ),
    ];
    for (from, to, why) in wrong {
        let path = directory.path().join("wrong.toml");
        assert!(GRID.contains(from));
        std::fs::write(&path, GRID.replace(from, to)).unwrap();
        let error = dfaas_sim::sweep::Grid::load(&path).unwrap_err().to_string();
        assert!(error.contains(why), "{to}: {error}");
    }
}
