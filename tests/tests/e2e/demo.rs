//! `dfaas demo`.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use dfaas_tests::agent::{SOON, program};
use dfaas_tests::wait::until;
use serde_json::Value;

/// Processes whose command line names the directory.
fn processes_of(directory: &Path) -> Vec<String> {
    let needle = directory.to_str().expect("a path of text");
    std::fs::read_dir("/proc")
        .expect("a system with /proc")
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
        .filter(|line| line.contains(needle))
        .collect()
}

fn demo(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command
        .arg("demo")
        .args(arguments)
        .env_clear()
        .env("TMPDIR", directory)
        .stdin(Stdio::null());
    command
}

fn nothing_left(directory: &Path) {
    let left: Vec<_> = std::fs::read_dir(directory).unwrap().flatten().collect();
    assert!(left.is_empty(), "files are left: {left:?}");
    let left = processes_of(directory);
    assert!(left.is_empty(), "processes are left: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_what_offloading_does_and_leaves_nothing_behind() {
    let _machine = crate::alone().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let output: Output = tokio::task::spawn_blocking(move || {
        demo(&path, &["--json", "--seconds", "8"])
            .output()
            .expect("the demo runs")
    })
    .await
    .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");

    assert!(summary["offered_of_capacity"].as_f64().unwrap() < 0.9);
    let phases = summary["phases"].as_array().unwrap();
    let strategies: Vec<_> = phases
        .iter()
        .map(|p| p["strategy"].as_str().unwrap())
        .collect();
    assert_eq!(strategies, ["all-local", "headroom"]);
    let count = |of: &Value, name: &str| of[name].as_u64().unwrap_or_else(|| panic!("{name}"));
    for phase in phases {
        assert_eq!(count(phase, "failed"), 0, "{phase}");
        // With both, nothing was refused and executed.
        assert_eq!(count(phase, "served"), count(phase, "executed"), "{phase}");
        let ended = count(phase, "served") + count(phase, "refused");
        assert_eq!(count(phase, "offered"), ended, "{phase}");
        assert_eq!(phase["nodes"].as_array().unwrap().len(), 3);
        assert!(
            phase["p50_ms"].as_f64().unwrap() >= 99.0,
            "a call takes 100 ms: {phase}"
        );
    }
    // Alone, the first site serves what it can: four slots of ten calls a second each, for eight seconds, and those
    // that wait at the end.
    let hot = &phases[0]["nodes"][0];
    let alone = count(hot, "served");
    assert!((250..=340).contains(&alone), "{hot}");
    assert_eq!(count(hot, "forwarded"), 0);
    let share = phases[1]["served_share"].as_f64().unwrap();
    assert!(share >= 0.99, "{}", phases[1]);
    assert!(count(&phases[1], "forwarded") > 0);
    nothing_left(directory.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_leaves_nothing_behind() {
    let _machine = crate::beside_others().await;
    let directory = tempfile::tempdir().unwrap();
    let mut child = demo(directory.path(), &["--seconds", "600"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the demo starts");
    // In the midst of it: all agents run.
    until("three agents run", SOON, || async {
        (processes_of(directory.path()).len() >= 3).then_some(())
    })
    .await;
    let sent = Command::new("kill")
        .arg("-INT")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(sent.success());
    let status = until("the demo ends", SOON, || {
        let ended = child.try_wait().unwrap();
        async move { ended }
    })
    .await;
    assert!(
        !status.success(),
        "an interrupted demo does not say that all went well"
    );
    until("its agents are gone", SOON, || async {
        processes_of(directory.path()).is_empty().then_some(())
    })
    .await;
    nothing_left(directory.path());
}
